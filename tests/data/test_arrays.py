import decimal
import enum

import numpy as np
import pandas as pd
import pytest
import torch

from kft import InputError
from kft.data.read import read

pytestmark = pytest.mark.once

X = np.arange(4 * 2 * 2 * 3, dtype="uint8").reshape(4, 2, 2, 3)


def read_arrays(x, y, **options):
    return read((x, y), **{"task": "single_label", "modality": "image", **options})


def test_images_with_indices():
    examples = read_arrays(X, [0, 2, 1, 0])
    assert examples.kind == "arrays"
    assert examples.inputs is X
    assert examples.targets.dtype == np.int64
    assert examples.classes == ("0", "1", "2")
    assert read_arrays(X, np.array([[0.0], [2.0], [1.0], [0.0]])).classes == ("0", "1", "2")


def test_names_become_indices():
    examples = read_arrays(X, ["dog", "cat", "dog", "ant"])
    assert examples.classes == ("ant", "cat", "dog")
    np.testing.assert_array_equal(examples.targets, [2, 1, 2, 0])
    assert read_arrays(X, [1, 0, 1, 0], classes=("no", "yes")).classes == ("no", "yes")


def test_a_memmap_stays_one(tmp_path):
    written = np.memmap(tmp_path / "x", "float32", "w+", shape=(2000, 3))
    written[:] = 1
    examples = read_arrays(written, np.arange(2000) % 2)
    assert isinstance(examples.inputs, np.memmap)
    written[1500] = np.nan
    with pytest.raises(InputError, match=r"example 1500: input with NaN or infinity"):
        read_arrays(written, np.arange(2000) % 2)


def test_lists_of_texts_and_paths(image_folder):
    texts = read((["good", "bad"], ["pos", "neg"]), task="single_label", modality="text")
    assert texts.kind == "texts"
    assert texts.inputs.dtype == object
    folder = image_folder({"a": 2})
    paths = sorted((folder / "a").iterdir())
    files = read_arrays(paths, ["x", "y"])
    assert files.kind == "image_files"
    assert list(files.inputs) == [str(path) for path in paths]
    paths[0].write_bytes(b"")
    with pytest.raises(InputError, match=r"000\.png: empty file"):
        read_arrays(paths, ["x", "y"])
    skipped = read_arrays([*paths, paths[1]], ["x", "y", "x"], on_bad_example="skip").skipped
    assert [bad.reason for bad in skipped] == ["empty file"]


def test_several_labels_and_numbers():
    rows = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    many = read_arrays(X, rows, task="multi_label", classes=("a", "b"))
    assert many.classes == ("a", "b")
    assert many.targets.dtype == np.float32
    numbers = read_arrays(X, [1, 2.5, 3, 4], task="regression")
    assert numbers.classes is None
    np.testing.assert_array_equal(numbers.targets, np.array([1, 2.5, 3, 4], "float32"))


def test_nan_is_named_or_skipped():
    x = X.astype("float32")
    x[2, 0, 0, 1] = np.inf
    with pytest.raises(InputError, match=r"example 2: input with NaN or infinity\n.*skip"):
        read_arrays(x, [0, 1, 0, 1])
    y = np.array([1.0, np.nan, 2.0, 3.0])
    with pytest.raises(InputError, match=r"example 1: target with NaN or infinity"):
        read_arrays(X, y, task="regression")
    examples = read_arrays(x, y, task="regression", on_bad_example="skip")
    np.testing.assert_array_equal(examples.targets, np.array([1, 3], "float32"))
    assert [bad.name for bad in examples.skipped] == ["example 1", "example 2"]


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([0, 1], {}, r"x has 4 examples and y has 2 labels: pass one label for each"),
        ([0, 1, -1, 0], {}, r"y\[2\] is -1, but labels must lie in 0 to 1.*: renumber"),
        ([0, 1, 5, 0], {"classes": ("a", "b")}, r"y\[2\] is 5, .* 0 to 1, .* 2 classes: renumber"),
        ([0.5, 1, 0, 1], {}, r'y\[0\] is 0.5, .* whole numbers: use task="regression"'),
        ([0, 0, 0, 0], {}, r"has one class, '0', but .* at least 2: add a class"),
        ([[0, 1]] * 4, {}, r"shape \(4, 2\).*argmax\(axis=1\) for one-hot"),
        (["a", "b", "c", "a"], {"classes": ("a", "b")}, r"example 2 of arrays: label 'c' was not"),
        ([0, 1, 2, 0], {"task": "multi_label"}, r"multi-label targets are 0 and 1 in \[n, cl"),
        ([[0, 2]] * 4, {"task": "multi_label"}, r"multi-label targets are 0 and 1"),
        (
            [[0, 1]] * 4,
            {"task": "multi_label", "classes": ("a", "b", "c")},
            r"y has 2 columns, but there are 3 classes: pass one column per class",
        ),
        (["a", "b", "c", "d"], {"task": "regression"}, r"regression needs numbers \[n\] or"),
    ],
)
def test_wrong_targets_are_named(y, options, message):
    with pytest.raises(InputError, match=message):
        read_arrays(X, y, **options)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"a": np.array([object()] * 4)}, r"x\['a'\] has no usable image; the first is object"),
        (np.array([object()] * 4), r"x has no usable image; the first is object, but an image"),
        (X[:0], r"x has no examples: pass at least one for each class"),
    ],
)
def test_wrong_inputs_are_named(x, message):
    with pytest.raises(InputError, match=message):
        read_arrays(x, [] if isinstance(x, np.ndarray) and not len(x) else [0, 1, 0, 1])


def read_texts(x, y, **options):
    return read_arrays(x, y, modality="text", **options)


TEXTS = ["one", "two", "three", "four"]


@pytest.mark.parametrize("unit", ["ns", "us", "D"])
@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
def test_moments_are_no_classes(kind, unit):
    # .tolist() converts nanoseconds to integers, which would be accepted as class names.
    moments = np.array([0, 10, 0, 10]).astype(f"{kind}[{unit}]")
    with pytest.raises(InputError, match="as a label"):
        read_texts(TEXTS, moments)
    with pytest.raises(InputError, match="as a label"):
        read_texts(TEXTS, list(moments))


def test_a_gap_in_a_dictionary_of_arrow_stays_one():
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    pieces = [pa.array(part).dictionary_encode() for part in (["a", None], ["b", "b"])]
    column = pa.chunked_array(pieces)
    for labels in (column, pd.Series(pd.arrays.ArrowExtensionArray(column))):
        with pytest.raises(InputError, match="example 1: no label"):
            read_texts(TEXTS, labels)
        kept = read_texts(TEXTS, labels, on_bad_example="skip")
        assert kept.inputs.tolist() == ["one", "three", "four"]
        assert kept.targets.tolist() == [0, 1, 1]


def test_an_enumeration_of_strings_is_its_values():
    class Animal(str, enum.Enum):  # noqa: UP042 - StrEnum has a str() of its own
        CAT = "cat"
        DOG = "dog"

    examples = read_texts([Animal.CAT, "b", "c", "d"], [Animal.CAT, Animal.DOG] * 2)
    assert examples.classes == ("cat", "dog")
    assert examples.inputs[0] == "cat"


def test_rows_of_the_words_0_and_1_are_no_names():
    rows = [["0", "1"], ["1", "0"], ["1", "1"], ["0", "0"]]
    with pytest.raises(InputError, match=r"y holds rows of 0 and 1.*pass them as numbers"):
        read_texts(TEXTS, rows, task="multi_label")
    assert read_texts(TEXTS, [["0"], ["0", "1"], [], ["1"]], task="multi_label").classes


def test_targets_without_a_number_are_refused():
    with pytest.raises(InputError, match=r"shape \(4, 0\)"):
        read_texts(TEXTS, np.zeros((4, 0)), task="regression")


@pytest.mark.parametrize(
    ("classes", "y", "expected"),
    [
        (("0", "1", "10", "2"), [0, 1, 0, 1], [0, 1, 0, 1]),
        (("0", "1", "10", "2"), [0, 1, 2, 10], [0, 1, 3, 2]),  # sorted as in tables
        (("0", "1", "10", "2"), [0, 1, 2, 3], [0, 1, 2, 3]),
        (("1", "2", "3"), [0, 1, 2, 0], [0, 1, 2, 0]),
        (("1", "2", "3"), [1, 2, 3, 1], [0, 1, 2, 0]),
    ],
)
def test_numbers_mean_classes_or_positions_where_only_one_is_possible(classes, y, expected):
    assert read_texts(TEXTS, y, classes=classes).targets.tolist() == expected


@pytest.mark.parametrize(
    ("classes", "y"), [(("1", "2", "3"), [1, 2, 1, 2]), (("0", "1", "10", "2"), [0, 2, 0, 1])]
)
def test_numbers_that_may_mean_a_class_or_a_position_are_refused(classes, y):
    with pytest.raises(InputError, match=r"which may be the class named .* pass names"):
        read_texts(TEXTS, y, classes=classes)


def test_classes_without_an_order_are_refused():
    with pytest.raises(InputError, match="classes="):
        read_texts(TEXTS, ["a", "b", "a", "b"], classes={"a", "b"})


def test_columns_with_the_same_rows_in_another_order_are_not_paired():
    x, y = pd.Series(["good", "bad", "fine"]), pd.Series(["pos", "neg", "pos"])
    with pytest.raises(InputError, match=r"same index, but in another order.*y.loc"):
        read_arrays(x, y[::-1], modality="text")
    shuffled = read_arrays(x[::-1], y[::-1], modality="text")
    assert [shuffled.label(index) for index in range(3)] == ["pos", "neg", "pos"]
    assert len(read_arrays(x, y.set_axis([7, 8, 9]), modality="text")) == 3


def test_a_signalling_nan_is_a_gap():
    with pytest.raises(InputError, match="example 0: no label"):
        read_arrays(X, [decimal.Decimal("sNaN"), *map(decimal.Decimal, (1, 0, 1))])


@pytest.mark.parametrize(
    "options",
    [
        *({"classes": np.array(3)}, {"classes": torch.ones(())}, {"classes": 10**5000}),
        *({"on_bad_example": np.array([1, 2])}, {"on_bad_example": 10**5000}),
        {"encoding": 10**5000},
    ],
    ids=lambda options: next(iter(options)),
)
def test_odd_options_are_refused_by_name(options):
    with pytest.raises(InputError, match=next(iter(options))):
        read_arrays(X, [0, 1, 1, 0], **options)
