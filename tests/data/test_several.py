"""Several tasks read their labels side by side from every source into dicts of targets."""

import keras
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from kft import InputError
from kft.data.batches import Batches
from kft.data.kinds import SingleLabels
from kft.data.overlap import overlap
from kft.data.plain_errors import plain_errors
from kft.data.read import read
from kft.data.split import split
from kft.data.stream_checks import StreamCheck, checked
from kft.tasks import Classification, MultiLabel, Regression, Several

pytestmark = pytest.mark.once

TEXTS = [f"text {number}" for number in range(6)]
KINDS = ["cat", "dog", "cat", "cow", "dog", "cow"]
AGES = [1.0, 2.5, 3.0, 4.0, 5.5, 6.0]
TAGS = [["red"], ["red", "big"], [], ["big"], ["red"], []]
CLASSES = {"kind": ("cat", "cow", "dog"), "age": None, "tags": ("big", "red")}
LABELS = {"kind": KINDS, "age": AGES, "tags": TAGS}


def task():
    return Several({"kind": Classification(3), "age": Regression(), "tags": MultiLabel(2)})


def read_texts(source, **options):
    return read(source, **{"task": task(), "modality": "text", **options})


def check(examples):
    order = [TEXTS.index(text) for text in examples.inputs]
    assert examples.classes == CLASSES
    assert set(examples.targets) == set(LABELS)
    kinds = np.array([0, 2, 0, 1, 2, 1])[order]
    np.testing.assert_array_equal(examples.targets["kind"], kinds)
    np.testing.assert_array_equal(examples.targets["age"], np.array(AGES, "float32")[order])
    tags = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1], [0, 0]])[order]
    np.testing.assert_array_equal(examples.targets["tags"], tags)
    assert len(examples) == 6


def test_arrays_are_a_dict_by_task():
    examples = read_texts((TEXTS, LABELS))
    check(examples)
    assert repr(examples) == (
        "<Examples: 6 texts, 3 classes of kind, 2 classes of tags from arrays>"
    )
    assert examples.counts() == {
        "kind": {"cat": 2, "cow": 2, "dog": 2},
        "tags": {"big": 2, "red": 3},
    }
    assert examples.label(1) == "kind: dog, age: 2.5, tags: big | red"


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (KINDS, r"y is list, but a dict of 'kind', 'age', 'tags' is expected, each with"),
        ({"kind": KINDS}, r"y is a dict of 'kind', but a dict of 'kind', 'age', 'tags'"),
        ({**LABELS, "age": [1]}, r"x has 6 examples and y\['age'\] has 1 labels: pass one"),
        ({**LABELS, "age": KINDS}, r"y\['age'\] has values such as 'cat' .*regression needs"),
        ({**LABELS, "kind": [0, 1, 0.5, 1, 0, 1]}, r"y\['kind'\]\[2\] is 0.5, but class indices"),
        ({**LABELS, "age": [*AGES[:5], None]}, r"1 bad example:\n  example 5: age: no label"),
    ],
)
def test_wrong_arrays_are_named_by_task(y, message):
    with pytest.raises(InputError, match=message):
        read_texts((TEXTS, y))


def test_a_gap_in_any_task_makes_a_bad_example():
    y = {**LABELS, "age": [*AGES[:5], None], "kind": [None, *KINDS[1:]]}
    examples = read_texts((TEXTS, y), on_bad_example="skip")
    assert list(examples.inputs) == TEXTS[1:5]
    assert [bad.reason for bad in examples.skipped] == ["kind: no label", "age: no label"]


@pytest.mark.parametrize("renamed", [False, True])
def test_columns_of_a_csv_are_called_as_the_tasks_or_named(renamed, tmp_path):
    rows = [
        f"{text},{kind},{age},{'|'.join(tags)}"
        for text, kind, age, tags in zip(TEXTS, *LABELS.values(), strict=True)
    ]
    header = "text,what,how old,tags" if renamed else "text,kind,age,tags"
    path = tmp_path / "animals.csv"
    path.write_text("\n".join([header, *rows]))
    columns = {"kind": "what", "age": ["how old"]} if renamed else "label"
    check(read_texts(path, label_column=columns))
    path.write_text(path.read_text().replace("cow", "", 1))
    with pytest.raises(InputError, match=r"line 5: kind: no label in column '(kind|what)'"):
        read_texts(path, label_column=columns)
    for wrong, message in (
        ("kind", r"label_column='kind', but several has the labels 'kind', 'age', 'tags': pass a"),
        ({"kind": 3}, r"label_column=.*: pass the name of a column, .*, or a dict of these"),
        ({"size": "kind"}, r"but several has the labels 'kind', 'age'"),
        ({"kind": ["what", "age"]}, r"but single_label has one label column: name one"),
        ({"kind": "species"}, r"has no column 'species'"),
    ):
        with pytest.raises(InputError, match=message):
            read_texts(path, label_column=wrong)


def test_columns_of_a_parquet_table_have_the_type_of_each_task(tmp_path):
    path = tmp_path / "animals.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS, **LABELS}), path)
    check(read_texts(path))
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS, **LABELS, "age": TAGS}), path)
    with pytest.raises(InputError, match=r"column 'age' .* holds list.*, but numbers are expected"):
        read_texts(path)


def test_features_of_a_tfds_are_called_as_the_tasks(tmp_path):
    rows = [
        (number, {"text": text, "kind": kind, "age": age, "tags": tags})
        for number, (text, kind, age, tags) in enumerate(zip(TEXTS, *LABELS.values(), strict=True))
    ]
    features = tfds.features
    builder = tfds.dataset_builders.store_as_tfds_dataset(
        name="kft_animals",
        version="1.0.0",
        features=features.FeaturesDict(
            {
                "text": features.Text(),
                "kind": features.ClassLabel(names=["dog", "cow", "cat"]),
                "age": features.Scalar(np.float32),
                "tags": features.Sequence(features.Text()),
            }
        ),
        split_datasets={"train": rows},
        data_dir=tmp_path,
    )
    check(read_texts(builder.data_path))
    with pytest.raises(
        InputError, match=r"feature 'tags' .* is Sequence .*, but one name or class"
    ):
        read_texts(builder.data_path, label_column={"kind": "tags"})


def test_a_folder_has_no_labels_for_several_tasks(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"one label per example, but task='several': write a"):
        read_texts(tmp_path)


def test_examples_are_renumbered_by_the_classes_of_the_training():
    some = read_texts((TEXTS[:3], {name: rows[:3] for name, rows in LABELS.items()}))
    assert some.classes["kind"] == ("cat", "dog")
    known = read_texts(some, classes=CLASSES)
    assert known.classes == CLASSES
    np.testing.assert_array_equal(known.targets["kind"], [0, 2, 0])
    assert read_texts(known, classes=CLASSES) is known
    with pytest.raises(InputError, match=r"label 'dog' was not seen in training"):
        read_texts(some, classes={**CLASSES, "kind": ["cat", "cow"]})
    with pytest.raises(InputError, match=r"but a dict of class names for 'kind' and 'age'"):
        read_texts(some, classes=("cat", "cow"))


def test_examples_of_other_tasks_are_refused():
    examples = read((TEXTS, KINDS), task="single_label", modality="text")
    with pytest.raises(InputError, match=r"has the targets 'single_label', but 'kind' and 'age'"):
        read_texts(examples)
    with pytest.raises(InputError, match=r"for the task 'single_label', but this one is 'regress"):
        read(examples, task="regression", modality="text")
    again = read(examples, task=Classification(3), modality="text")
    assert again.task == Classification(3)
    assert again.inputs is examples.inputs


def many(count=60):
    y = {"age": np.arange(count, dtype="float32"), "kind": np.arange(count) % 3 // 2}
    return read(
        (np.arange(count, dtype="float32")[:, None], y),
        task=Several({"kind": Classification(2), "age": Regression()}),
        modality="text",
    )


def test_the_first_task_with_strata_stratifies_the_split():
    train, validation = split(many(), fraction=0.2)
    assert np.bincount(validation.targets["kind"]).tolist() == [8, 4]
    np.testing.assert_array_equal(train.targets["age"], train.inputs[:, 0])
    assert len(train) + len(validation) == 60


def test_the_fingerprint_is_of_all_targets():
    first = many()
    assert first.fingerprint() == many().fingerprint()
    other = many()
    other.targets["age"][7] += 1
    assert other.fingerprint() != first.fingerprint()
    assert first.take([1, 0]).fingerprint() != first.take([0, 1]).fingerprint()


def test_batches_have_dicts_of_targets_and_are_not_balanced():
    examples = many()
    x, y = Batches(examples, np.asarray, batch_size=8, shuffle=True)[2]
    np.testing.assert_array_equal(y["age"], x[:, 0])
    np.testing.assert_array_equal(y["kind"], x[:, 0].astype(int) % 3 // 2)
    _, soft = Batches(examples, np.asarray, batch_size=8, soft_targets=True)[0]
    np.testing.assert_array_equal(soft["kind"], np.eye(2)[examples.targets["kind"][:8]])
    with pytest.raises(InputError, match=r"balance='weights' needs .* arrays is several: leave"):
        Batches(examples, np.asarray, batch_size=8, balance="weights")


def test_each_task_describes_its_targets():
    found = overlap({"training": many()})
    parts = found["parts"]["training"]["parts"]
    assert parts["kind"]["counts"] == {"0": 40, "1": 20}
    assert parts["age"]["values"] == {"least": 0.0, "mean": 29.5, "most": 59.0}
    assert found["conflicts"] == 0


class Rows(keras.utils.PyDataset):
    """A user's own stream."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return self.x[rows], {name: one[rows] for name, one in self.y.items()}


def of_tf(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)


X = np.zeros((12, 2), "float32")
Y = {"kind": np.arange(12) % 3, "age": np.ones(12), "tags": np.eye(2)[np.arange(12) % 2]}


def run(dataset):
    stream = checked(dataset, StreamCheck(task()))
    with plain_errors():
        if isinstance(stream, keras.utils.PyDataset):
            return [stream[index] for index in range(len(stream))]
        return list(stream)


@pytest.mark.parametrize("make", [of_tf, Rows])
def test_streams_yield_dicts_that_are_checked_by_task(make):
    stream = read_texts(make(X, Y), classes=CLASSES)
    assert (stream.batches, stream.classes) == (3, CLASSES)
    batches = run(stream.dataset)
    np.testing.assert_array_equal(batches[1][1]["kind"], Y["kind"][4:8])
    for changed, message in (
        ({"kind": np.arange(12)}, r"label 3 in batch 0 of the \S+, but labels must lie in 0 to 2"),
        ({"age": np.full(12, np.nan)}, r"target nan in batch 0 .* finite numbers"),
        ({"tags": np.eye(3)[np.arange(12) % 3]}, r"targets of shape \(\w+, 3\)"),
        ({"kind": np.array(["a"] * 12)}, r"labels that are strings"),
    ):
        with pytest.raises(InputError, match=message):
            run(make(X, {**Y, **changed}))
    with pytest.raises(InputError, match=r"are a dict of 'kind', but a dict of 'kind' and 'age'"):
        run(make(X, {"kind": Y["kind"]}))


def test_single_examples_of_a_stream_are_batched():
    single = tf.data.Dataset.from_tensor_slices((X, Y))
    assert next(iter(read_texts(single).dataset))[1]["tags"].shape == (12, 2)
    even = single.batch(4, drop_remainder=True)
    assert next(iter(read_texts(even).dataset))[1]["tags"].shape == (4, 2)


def test_kft_data_alone_knows_as_much_of_a_class_as_a_task():
    examples = read((TEXTS, KINDS), task=SingleLabels(), modality="text")
    assert examples.counts() == {"cat": 2, "cow": 2, "dog": 2}
