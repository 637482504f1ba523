"""Predictions as values, tables, data frames and files."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from kft.errors import InputError
from kft.tasks import Classification, MultiLabel, Regression, Several, Task
from kft.tasks.predictions import ClassPredictions, LabelPredictions, NumberPredictions

pytestmark = pytest.mark.once

SCORES = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], dtype=np.float32)


def made(kind=ClassPredictions, scores=SCORES, classes=("a", "b", "c")):
    return kind(["one", "two"], scores, classes)


def numbers_of(scores):
    return NumberPredictions(["one", "two"], scores)


def test_a_frame_has_a_row_for_each_input():
    frame = made().to_frame()
    assert frame.to_dict("list") == {
        "input": ["one", "two"],
        "label": ["c", "a"],  # ties go to the first class
        "probability": [0.7, 0.5],
    }


def test_top_shows_the_most_probable_classes_everywhere():
    top = made().top(2)
    assert list(top.to_frame()) == [
        "input", "label_1", "probability_1", "label_2", "probability_2"
    ]  # fmt: skip
    assert top.to_frame()["label_2"].tolist() == ["b", "b"]
    assert [list(one.scores) for one in top] == [["c", "b"], ["a", "b"]]
    assert top.labels == made().labels
    assert str(top).splitlines()[1].split() == ["one", "c", "0.7000", "b", "0.2000"]
    assert "<th>label_2</th>" in top._repr_html_()
    assert top.to_dict()["scores"][0] == pytest.approx({"c": 0.7, "b": 0.2})


@pytest.mark.parametrize("k", [0, 4, True, 1.0, "2"])
def test_there_are_only_so_many_classes(k):
    with pytest.raises(InputError, match=r"there are 3 classes; pass 1 to 3"):
        made().top(k)


def test_numbers_have_no_classes():
    numbers = numbers_of(SCORES)
    with pytest.raises(InputError, match="NumberPredictions have no classes"):
        numbers.top(1)
    assert list(numbers.to_frame()) == ["input", "value_1", "value_2", "value_3"]
    assert list(numbers_of(SCORES[:, :1]).to_frame()) == ["input", "value"]


def test_several_labels_may_be_none():
    frame = made(LabelPredictions).to_frame()
    assert frame["label"].tolist() == ["c", "a|b"]
    assert frame["probability"].tolist() == ["0.7", "0.5|0.5"]
    none = made(LabelPredictions, SCORES / 10)
    assert none.to_frame()["label"].tolist() == ["", ""]
    assert str(none).splitlines()[1].split() == ["one", "-", "-"]


def test_no_number_is_none_in_json(tmp_path):
    path = numbers_of(np.array([[np.nan], [np.inf]])).write(tmp_path / "a.jsonl")
    assert [json.loads(line)["value"] for line in path.read_text().splitlines()] == [None, None]


def test_a_file_of_no_known_format_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in .csv, .tsv, .jsonl or .parquet"):
        made().write(tmp_path / "answers.xlsx")
    assert not list(tmp_path.iterdir())


def test_scores_are_written_as_they_are(tmp_path):
    exact = np.array([[1 / 3, 2 / 3], [1e-8, 1 - 1e-7]], dtype=np.float32)
    for ending, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        frame = read(made(scores=exact, classes=("a", "b")).write(tmp_path / f"a{ending}"))
        assert frame["probability"].to_numpy(np.float32).tolist() == exact.max(axis=1).tolist()


MASKS = np.arange(8, dtype="float32").reshape(2, 2, 2, 1) / 8
TREE = {"mask": MASKS, "area": np.array([0.25, 0.5], "float16")}


def arrays(outputs=MASKS):
    return Task().predictions(["one", "two"], outputs, None)


def test_any_array_is_an_answer_that_prints_its_shape_and_range():
    found = arrays()
    assert len(found) == 2
    np.testing.assert_array_equal(found[1], MASKS[1])
    assert str(found).splitlines()[1].split("  ")[-1] == "2 x 2 x 1, 0 to 0.375"
    assert "<td>2 x 2 x 1, 0.5 to 0.875</td>" in found._repr_html_()
    with pytest.raises(InputError, match="ArrayPredictions have no classes"):
        found.top(1)


def test_a_tree_of_arrays_has_a_column_for_each():
    found = arrays(TREE)
    assert list(found.columns()) == list(found.to_frame()) == ["input", "mask", "area"]
    assert found.columns()["area"] == [0.25, 0.5]
    np.testing.assert_array_equal(found[0]["mask"], MASKS[0])
    assert str(found).splitlines()[1].endswith("0.25")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl"])
def test_no_text_in_a_table_is_run_by_a_spreadsheet(tmp_path, ending):
    texts = ["=cmd|' /C calc'!A0", "\t=1+1", "@SUM(A1)", "\uff1d1+1", "-3", "@you", "a=b"]
    scores = np.full((7, 2), 0.5, "float32")
    found = Classification(2).predictions(texts, scores, ("=1+1", "b"))
    path = found.write(tmp_path / f"out{ending}")
    if ending == ".jsonl":
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        assert [row["input"] for row in rows] == texts
    else:
        frame = pd.read_csv(path, sep="\t" if ending == ".tsv" else ",")
        assert frame["input"].tolist() == [*(f"'{text}" for text in texts[:4]), *texts[4:]]
        assert set(frame["label"]) == {"'=1+1"}


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_files_get_the_values_of_arrays(tmp_path, ending):
    path = arrays(TREE).write(tmp_path / f"out{ending}")
    if ending == ".parquet":
        frame = pd.read_parquet(path)
        rows = pq.read_table(path)["mask"].to_pylist()
    elif ending == ".jsonl":
        frame = pd.read_json(path, lines=True)
        rows = frame["mask"].tolist()
    else:
        frame = pd.read_csv(path, sep="\t" if ending == ".tsv" else ",")
        rows = [json.loads(row) for row in frame["mask"]]
    assert rows == MASKS.tolist()
    assert frame["area"].tolist() == [0.25, 0.5]


def several(**more):
    tasks = {"kind": Classification(3), "tags": MultiLabel(3), "age": Regression()} | more
    outputs = {"kind": SCORES, "tags": SCORES, "age": np.array([[3.0], [4.0]], "float32")}
    classes = {"kind": ("a", "b", "c")}
    return Several(tasks).predictions(["one", "two"], outputs, classes)


def test_several_tasks_answer_side_by_side():
    found = several()
    frame = found.to_frame()
    assert list(frame) == [
        "input", "kind_label", "kind_probability", "tags_label", "tags_probability", "age_value"
    ]  # fmt: skip
    assert frame.iloc[1].tolist() == ["two", "a", 0.5, "0|1", "0.5|0.5", 4.0]
    assert found[0]["kind"].label == "c"
    assert found[0]["age"].label == 3.0
    assert str(found).splitlines()[2].split() == ["two", "a", "0.5000", "0|1", "0.5000|0.5000", "4"]
    assert json.loads(json.dumps(found.to_dict()))["age_label"] == [3.0, 4.0]


def test_of_several_tasks_those_with_classes_show_the_most_probable():
    top = several().top(2)
    assert list(top.columns())[1:5] == [
        "kind_label_1", "kind_probability_1", "kind_label_2", "kind_probability_2"
    ]  # fmt: skip
    assert list(top.columns())[-1] == "age_value"
    with pytest.raises(InputError, match="there are 3 classes"):
        several().top(4)
    ages = Several({"age": Regression()}).predictions(["one"], {"age": SCORES[:1, :1]}, None)
    with pytest.raises(InputError, match="none of age has classes"):
        ages.top(1)
