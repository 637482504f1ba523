"""Containers of data of any type are read by position, or rejected by name."""

import collections
import datetime
import decimal
import pathlib

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
import torch

from kft import InputError
from kft.data.read import read
from tests.later import made

pytestmark = pytest.mark.once

TEXTS = ["one", "two", "three"]
NAMES = ["a", "b", "a"]
MANY = [["a", "b"], ["b"], []]
Decimal = decimal.Decimal


def read_texts(x, y, **options):
    return read((x, y), **{"task": "single_label", "modality": "text", **options})


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(TEXTS, index=[5, 6, 7]),
        pd.Series(TEXTS, index=[2, 1, 0]),
        pd.Series(TEXTS, dtype="string"),
        pd.Series(TEXTS, dtype="category"),
        pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string())),
        pd.Index(TEXTS),
        pa.array(TEXTS),
        pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
        pa.array(TEXTS).dictionary_encode(),
        np.array(TEXTS),
        np.array(TEXTS, object),
        np.array(TEXTS, "S"),
        [text.encode() for text in TEXTS],
        pytest.param(lambda: tf.constant(TEXTS), id="EagerTensor"),
        pytest.param(lambda: list(tf.constant(TEXTS)), id="list of EagerTensor"),
        [np.array(text) for text in TEXTS],
        tuple(TEXTS),
        collections.deque(TEXTS),
        collections.UserList(TEXTS),
        np.ma.array(TEXTS, mask=[False] * 3),
    ],
    ids=lambda column: type(column).__name__,
)
def test_texts_and_names_are_read_by_their_position(column):
    column = made(column)
    examples = read_texts(column, NAMES)
    assert examples.kind == "texts"
    assert list(examples.inputs) == TEXTS
    assert all(type(text) is str for text in examples.inputs)
    labels = read_texts(TEXTS, column)
    assert labels.classes == ("one", "three", "two")
    np.testing.assert_array_equal(labels.targets, [0, 2, 1])


@pytest.mark.parametrize(
    "column",
    [
        [0, 1, 0],
        [0.0, 1.0, 0.0],
        [False, True, False],
        [Decimal(0), Decimal(1), Decimal(0)],
        np.array([0, 1, 0], object),
        np.array([0, 1, 0], ">i2"),
        np.array([0, 1, 0], "float16"),
        np.array([0, 9, 1, 9, 0, 9])[::2],
        np.array([[0], [1], [0]]),
        pd.Series([0, 1, 0], index=[3, 2, 1], dtype="Int64"),
        pd.Series([False, True, False], dtype="boolean"),
        torch.tensor([0, 1, 0]),
        [torch.tensor(0), torch.tensor(1), torch.tensor(0)],
        pytest.param(lambda: tf.constant([0, 1, 0]), id="EagerTensor"),
        pytest.param(lambda: jnp.array([0, 1, 0]), id="ArrayImpl"),
        [np.int64(0), np.int8(1), 0],
    ],
    ids=lambda column: type(column).__name__,
)
def test_class_numbers_are_numbers_in_whatever_they_come(column):
    examples = read_texts(TEXTS, made(column))
    assert examples.classes == ("0", "1")
    np.testing.assert_array_equal(examples.targets, [0, 1, 0])


@pytest.mark.parametrize("gap", [None, float("nan"), pd.NA, pd.NaT, np.ma.masked, "", "  "])
def test_a_gap_is_no_word(gap):
    for x, y in (([*TEXTS, gap], [*NAMES, "a"]), ([*TEXTS, "four"], [*NAMES, gap])):
        with pytest.raises(
            InputError, match=r"1 bad example:\n  example 3: (no|empty) (text|label)\n"
        ):
            read_texts(x, y)
        examples = read_texts(x, y, on_bad_example="skip")
        assert list(examples.inputs) == TEXTS
        assert examples.classes == ("a", "b")
        assert [bad.name for bad in examples.skipped] == ["example 3"]


@pytest.mark.parametrize(
    ("numbers", "task"),
    [
        ([0, 1, None, 1], "single_label"),
        (pd.Series([0, 1, None, 1], dtype="Int64"), "single_label"),
        (np.ma.array([0, 1, 9, 1], mask=[0, 0, 1, 0]), "single_label"),
        ([0.5, 1, float("nan"), 1], "regression"),
        (pd.Series([0.5, 1, None, 1], dtype="Float64"), "regression"),
        ([0.5, 1, 1e300, 1], "regression"),
        ([[0.5, 1], [1, 1], [None, 1], [2, 2]], "regression"),
        ([[0, 1], [1, 1], [None, 1], [1, 0]], "multi_label"),
        ([["a"], ["b"], None, []], "multi_label"),
        ([["a"], ["b"], ["a", None], []], "multi_label"),
    ],
)
def test_gaps_among_numbers_and_lists_are_bad_examples(numbers, task):
    with pytest.raises(InputError, match=r"1 bad example:\n  example 2: "):
        read_texts([*TEXTS, "four"], numbers, task=task)
    examples = read_texts([*TEXTS, "four"], numbers, task=task, on_bad_example="skip")
    assert list(examples.inputs) == ["one", "two", "four"]


@pytest.mark.parametrize(
    "rows",
    [
        MANY,
        [("a", "b"), ("b",), ()],
        [{"a", "b"}, {"b"}, set()],
        [np.array(["a", "b"]), np.array(["b"]), np.array([], "U")],
        np.array([["a", "b"], ["b"], []], object),
        pd.Series(MANY, index=[7, 8, 9]),
        pa.array(MANY),
        ["a|b", "b", ""],
        [np.array("a|b"), np.array("b"), np.array("")],
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_several_labels_may_be_lists_of_names(rows):
    examples = read_texts(TEXTS, rows, task="multi_label")
    assert examples.classes == ("a", "b")
    np.testing.assert_array_equal(examples.targets, [[1, 1], [0, 1], [0, 0]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (None, r"x is None, but a list or an array is expected"),
        ("one", r"x is a single str: put it into a list"),
        (3, r"x is of type int, but a list, an array or a column is expected$"),
        (set(TEXTS), r"x is of type set, which has no order: pass a list"),
        (dict.fromkeys(TEXTS).keys(), r"x is of type dict_keys, which has no order"),
        ({"text": None}, r"x\['text'\] is None, but a list or an array is expected"),
        (
            {"text": {"a": TEXTS}},
            r"x\['text'\] is a dict of a, but one array is expected: pass one",
        ),
        ({"a": TEXTS, "b": TEXTS[:2]}, r"x has 3 of 'a', 2 of 'b': pass one of each for every"),
        ({"a": TEXTS, "b": ["one", None, "three"]}, r"1 bad example:\n  example 1: b: no text"),
        ({}, r"x is an empty dict, but at least one array is expected"),
        (dict(enumerate(TEXTS)).values(), r"type dict_values, .*: pass list\(x\)"),
        (iter(TEXTS), r"x is of type list_iterator, .*: pass list\(x\)"),
        (map(str, TEXTS), r"x is of type map, .*: pass list\(x\)"),
        (pd.DataFrame({"text": TEXTS}), r"DataFrame with the columns 'text': .*frame\['text'\]"),
        (pa.table({"text": TEXTS}), r"type Table with the columns 'text': pass one column"),
        (np.array("one"), r"x is an array without axes, shape \(\)"),
        (
            np.zeros(3, [("a", "i4")]),
            r"x has dtype \[\('a', '<i4'\)\], but numbers, texts or paths",
        ),
        (np.zeros(3, complex), r"x has dtype complex128, but numbers, texts or paths"),
        (np.ma.array(np.ones((3, 2)), mask=np.eye(3, 2)), r"masked array with 2 .*: fill them"),
        ([1, "two", "three"], r"example 0: 1 \(int\), but a text is expected"),
        ([("a", "b"), "two", "three"], r"example 0: \('a', 'b'\) \(tuple\), but a text"),
        ([pathlib.Path("a"), "two", "three"], r"example 0: PosixPath, but a text is expected"),
        ([b"\xff", "two", "three"], r"example 0: not UTF-8 at byte 0: decode it first"),
        (["half a pair \ud800", "two", "three"], r"example 0: not UTF-8"),
        (["w" * (2**24 + 1), "two", "three"], r"example 0: a text of 16,777,217 characters"),
        ([None, None, None], r"3 bad examples"),
    ],
)
def test_what_holds_no_texts_is_refused_by_name(x, message):
    with pytest.raises(InputError, match=message):
        read_texts(x, NAMES)


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ("aba", {}, r"y is a single str: put it into a list"),
        (["a", 1, "b"], {}, r"y\[0\] is 'a' \(str\) and y\[1\] is 1 \(int\): pass names alone"),
        ([("a", "b")] * 3, {}, r"y\[0\] is \('a', 'b'\) .*: use task=\"multi_label\""),
        ([[0], [0, 1], [1]], {}, r"y\[0\] is \[0\] \(list\), but a single label is expected"),
        (
            [datetime.date(2020, 1, 1)] * 3,
            {},
            r"example 0: date as a label, but the name of a class",
        ),
        (np.zeros(3, "M8[s]"), {}, r"example 0: datetime as a label"),
        (np.zeros(3, complex), {}, r"example 0: complex as a label"),
        ([0, 1, 10**12], {}, r"y\[2\] is 1000000000000, but labels must lie in 0 to 999,999"),
        (np.array([0, 1, 2**64 - 1], "uint64"), {}, r"y\[2\] is 18446744073709551615, but labels"),
        ([0, 1, 10**40], {}, r"y\[2\] is 1\d{40}, but labels must lie in 0 to 999,999"),
        ({"a": NAMES}, {}, r"y is a dict of a, .*: pass one of them, or kft.tasks.Several"),
        (pd.DataFrame({"a": [0, 1, 0]}), {}, r"y is of type DataFrame .*: pass one column"),
        (
            ["1", "2", "3"],
            {"task": "regression"},
            r"values such as '1' \(str\), but regression needs",
        ),
        ([1, 2, 10**400], {"task": "regression"}, r"but regression needs numbers"),
        ([[0, 2], [1], [2]], {"task": "multi_label"}, r"values such as \[0, 2\] .*lists of names"),
        ([["a", 1], ["b"], []], {"task": "multi_label"}, r"example 0: .*several labels are names"),
        (["['a', 'b']", "['a']", "[]"], {"task": "multi_label"}, r"separated by '\|': write a\|b"),
        (["a;b", "b", "a"], {"task": "multi_label"}, r"y has labels such as 'a;b'"),
        (["a, b", "b", "a"], {"task": "multi_label"}, r"y has labels such as 'a, b'"),
        (NAMES, {"classes": ("a", "a")}, r"classes names 'a' 2 times: name each class once"),
        (NAMES, {"classes": "ab"}, r"classes='ab', but a list of class names is expected"),
        (NAMES, {"classes": (0, 1)}, r"classes holds 0, but each class needs a name"),
        (NAMES, {"classes": ("a\udc82", "b")}, r"classes holds 'a\\udc82', which is not Unicode"),
    ],
)
def test_what_are_no_labels_is_refused_by_name(y, options, message):
    with pytest.raises(InputError, match=message):
        read_texts(TEXTS, y, **options)


def test_a_comma_may_belong_to_the_name_of_a_class():
    examples = read_texts(TEXTS, ["Paris, F", "Lyon, F", "Bonn, D"], task="multi_label")
    assert examples.classes == ("Bonn, D", "Lyon, F", "Paris, F")


class Structures:
    """A column of structs as in Polars: one axis, which becomes two in NumPy."""

    shape = (3,)

    def __len__(self):
        return 3

    def __array__(self, dtype=None, copy=None):
        return np.array([[1], [2], [1]])

    def to_list(self):
        return [{"age": 1}, {"age": 2}, {"age": 1}]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("single_label", r"y\[0\] is \{'age': 1\} \(dict\), but a single label is expected"),
        ("multi_label", r"y has .*, but multi-label targets are 0 and 1"),
        ("regression", r"y has .*, but regression needs numbers"),
    ],
)
def test_structures_are_not_taken_for_rows_of_numbers(task, message):
    with pytest.raises(InputError, match=message):
        read_texts(TEXTS, Structures(), task=task)


MASKED = [np.ma.array([1.0, 2.0], mask=[False, True])] * 3


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_a_list_of_masked_arrays_is_not_read_as_what_the_mask_hides(task):
    with pytest.raises(
        InputError,
        match="an array with 1 masked values",
    ):
        read((TEXTS, MASKED), task=task, modality="text")


def test_a_list_of_masked_images_is_refused():
    image = np.ma.masked_equal(np.ones((4, 4, 3), "uint8"), 1)
    with pytest.raises(InputError, match="an array with 48 masked values"):
        read(([image] * 3, NAMES), task="single_label", modality="image")
