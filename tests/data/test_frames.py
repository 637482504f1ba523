"""Tables in memory are read like tables in files."""

import io

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from kft import InputError
from kft.data.read import read

pytestmark = pytest.mark.once

COLUMNS = {"text": ["good", "bad", "fine"], "label": ["pos", "neg", "pos"]}


class Dataset:
    """The attributes of `datasets.Dataset` that kft uses, for an Arrow table."""

    def __init__(self, table, features):
        self.table, self.features = table, features

    column_names = property(lambda self: self.table.column_names)

    def __len__(self):
        return len(self.table)

    def select_columns(self, names):
        return Dataset(self.table.select(names), self.features)

    def with_format(self, name):
        assert name == "arrow"
        return self.table

    def __getitem__(self, name):
        raise AssertionError(f"{name} would be decoded")


class ClassLabel:
    names = ("zero", "one")


def read_texts(source, **options):
    return read(source, **{"task": "single_label", "modality": "text", **options})


def png(size=(8, 8), color=0):
    file = io.BytesIO()
    Image.new("RGB", size, (color, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(COLUMNS, index=[7, 7, 7]),
        pd.DataFrame(COLUMNS, dtype="category"),
        pyarrow.table(COLUMNS),
        pyarrow.table({name: pyarrow.array(v).dictionary_encode() for name, v in COLUMNS.items()}),
        COLUMNS,
        Dataset(pyarrow.table(COLUMNS), {}),
    ],
    ids=["pandas", "category", "arrow", "dictionary", "dict", "dataset"],
)
def test_every_table_is_read(frame):
    examples = read_texts(frame)
    assert list(examples.inputs) == COLUMNS["text"]
    assert examples.classes == ("neg", "pos")
    assert list(examples.targets) == [1, 0, 1]


def test_numbers_are_names_as_in_a_file():
    frame = pd.DataFrame({"text": COLUMNS["text"], "stars": [5, 1, 5]})
    assert read_texts(frame, label_column="stars").classes == ("1", "5")


def test_class_numbers_of_a_dataset_have_its_names():
    table = pyarrow.table({"text": ["a", "b", "c"], "label": [1, 0, 1]})
    examples = read_texts(Dataset(table, {"label": ClassLabel()}))
    assert [examples.label(index) for index in range(3)] == ["one", "zero", "one"]


def test_images_of_a_dataset_stay_encoded():
    images = [{"bytes": png((8, 8), n), "path": None} for n in range(2)]
    table = pyarrow.table({"image": images, "label": [1, 0]})
    examples = read(
        Dataset(table, {"label": ClassLabel()}),
        task="single_label",
        modality="image",
        path_column="image",
    )
    assert examples.kind == "image_bytes"
    assert examples.inputs[1] == images[1]["bytes"]


def test_several_columns_of_numbers_and_lists_of_names():
    frame = pd.DataFrame({"text": ["a", "b"], "x": [1.5, 2], "y": [3, 4]})
    numbers = read_texts(frame, task="regression", label_column=["x", "y"])
    np.testing.assert_array_equal(numbers.targets, [[1.5, 3], [2, 4]])
    frame = pd.DataFrame({"text": ["a", "b"], "label": [["red", "round"], []]})
    assert read_texts(frame, task="multi_label").classes == ("red", "round")


def test_groups_of_a_table_in_memory():
    frame = pd.DataFrame({**COLUMNS, "who": ["p", "q", "p"]})
    assert list(read_texts(frame, groups="who").groups) == ["p", "q", "p"]
    with pytest.raises(
        InputError, match=r"DataFrame has no column 'whom'.*by groups='who' of recipe.read"
    ):
        read_texts(frame, groups="whom")


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (
            pd.DataFrame({"words": ["a"], "label": ["x"]}),
            {},
            r"no column 'text', only 'words'.*text_column=... of recipe.read",
        ),
        (pd.DataFrame(COLUMNS).assign(text=["a", None, "c"]), {}, r"row 1: no text"),
        (
            pd.DataFrame(COLUMNS).assign(label=["a", None, "c"]),
            {},
            r"row 1: no label in column 'lab",
        ),
        (
            pd.DataFrame(COLUMNS).assign(label=[1, 2, 3]),
            {"task": "multi_label"},
            r"column 'label' of DataFrame holds .*lists of names are expected",
        ),
        (pd.DataFrame({"text": [], "label": []}), {}, r"DataFrame has no rows"),
        (
            {"train": pd.DataFrame(COLUMNS), "test": pd.DataFrame(COLUMNS)},
            {},
            r"dict holds the tables 'train', 'test': pass one of them, such as data\['train'\]",
        ),
        ({"text": ["a"], "label": ["x", "y"]}, {}, r"columns of dict differ in length: 1 and 2"),
    ],
)
def test_what_is_wrong_with_a_table_in_memory(frame, options, message):
    with pytest.raises(InputError, match=message):
        read_texts(frame, **options)


def test_labels_are_in_a_column_of_their_own_and_named_once():
    frame = pd.DataFrame({**COLUMNS, "p": [0, 1, 1], "q": [1, 0, 1]})
    options = {"task": "multi_label", "modality": "text"}
    with pytest.raises(InputError, match="names 'p' 2 times: name each column once"):
        read(frame, label_column=["p", "p", "q"], **options)
    with pytest.raises(InputError, match="label_column='text', but column 'text' holds the inputs"):
        read(frame, label_column="text", task="single_label", modality="text")


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_bytes_of_a_fixed_length_are_texts_from_a_file_and_from_memory(tmp_path, task):
    fixed = pyarrow.binary(4)
    labels = pyarrow.array([b"good", b"poor"] * 2, fixed)
    if task == "multi_label":
        labels = pyarrow.array([[b"good", b"long"], [b"poor"]] * 2, pyarrow.list_(fixed))
    texts = pyarrow.array([b"fine", b"dull", b"nice", b"meh."], fixed)
    table = pyarrow.table({"text": texts, "label": labels})
    pyarrow.parquet.write_table(table, tmp_path / "table.parquet")
    found = [read(one, task=task, modality="text") for one in (table, tmp_path / "table.parquet")]
    for one in found:
        assert list(one.inputs) == ["fine", "dull", "nice", "meh."]
        assert one.classes == (
            ("good", "poor") if task == "single_label" else ("good", "long", "poor")
        )
        np.testing.assert_array_equal(one.targets, found[0].targets)
