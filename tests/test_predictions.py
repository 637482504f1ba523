"""Predictions as values, as a table, as a frame and as a file."""

import json

import numpy as np
import pandas as pd
import pytest

from kft.errors import InputError
from kft.predictions import Predictions

pytestmark = pytest.mark.once

SCORES = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], dtype=np.float32)


def made(task="single_label", scores=SCORES, classes=("a", "b", "c")):
    return Predictions(task, ["one", "two"], scores, classes)


def test_a_frame_has_a_row_for_each_input():
    frame = made().to_frame()
    assert frame.to_dict("list") == {
        "input": ["one", "two"],
        "label": ["c", "a"],  # the first of equals
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
    assert str(top).splitlines()[1].split() == ["one", "c", "0.7", "b", "0.2"]
    assert "<th>label_2</th>" in top._repr_html_()
    assert top.to_dict()["scores"][0] == pytest.approx({"c": 0.7, "b": 0.2})


@pytest.mark.parametrize("k", [0, 4, True, 1.0, "2"])
def test_there_are_only_so_many_classes(k):
    with pytest.raises(InputError, match=r"there are 3 classes; pass 1 to 3"):
        made().top(k)


def test_numbers_have_no_classes():
    numbers = made("regression", SCORES, None)
    with pytest.raises(InputError, match="regression answers with numbers"):
        numbers.top(1)
    assert list(numbers.to_frame()) == ["input", "value_1", "value_2", "value_3"]
    assert list(made("regression", SCORES[:, :1], None).to_frame()) == ["input", "value"]


def test_several_labels_may_be_none():
    frame = made("multi_label").to_frame()
    assert frame["label"].tolist() == ["c", "a|b"]
    assert frame["probability"].tolist() == ["0.7", "0.5|0.5"]
    none = made("multi_label", SCORES / 10)
    assert none.to_frame()["label"].tolist() == ["", ""]
    assert str(none).splitlines()[1].split() == ["one", "-", "-"]


def test_no_number_is_none_in_json(tmp_path):
    path = made("regression", np.array([[np.nan], [np.inf]]), None).write(tmp_path / "a.jsonl")
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
