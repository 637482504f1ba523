"""Groups and times from every source, and errors about unusable ones."""

import datetime

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf

from kft import InputError
from kft.data.read import read
from kft.data.split import split

pytestmark = pytest.mark.once

LABELS = ["x", "y"] * 3
TEXTS = [f"text {number}" for number in range(6)]


def read_texts(source, **options):
    return read(source, **{"task": "single_label", "modality": "text", **options})


@pytest.fixture
def table(tmp_path):
    """Return a function: `table({"who": [...]})` writes a .csv file with texts, labels and more columns."""

    def write(columns, suffix=".csv"):
        path = tmp_path / f"data{suffix}"
        frame = {"text": TEXTS, "label": LABELS, **columns}
        if suffix == ".csv":
            pd.DataFrame(frame).to_csv(path, index=False)
        else:
            pyarrow.parquet.write_table(pyarrow.table(frame), path)
        return path

    return write


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_of_a_table(table, suffix):
    path = table({"who": ["p", "q", "p", "q", "r", "r"], "at": [1.5, 2, 3, 4, 5, 6]}, suffix)
    assert list(read_texts(path, groups="who").groups) == ["p", "q", "p", "q", "r", "r"]
    assert list(read_texts(path, order="at").order) == [1.5, 2, 3, 4, 5, 6]
    with pytest.raises(InputError, match=r"no column 'whom'.*name the right one by groups=..."):
        read_texts(path, groups="whom")


def test_values_for_each_example(image_folder):
    assert list(read_texts((TEXTS, LABELS), groups=list("ppqqrr")).groups) == list("ppqqrr")
    assert list(read_texts((TEXTS, LABELS), order=np.arange(6)).order) == list(range(6))
    photos = read(image_folder({"a": 2, "b": 2}), task="single_label", modality="image")
    again = read(photos, task="single_label", modality="image", groups=[1, 2, 1, 2])
    assert [set(part.groups) for part in split(again, 0.5)] in ([{1}, {2}], [{2}, {1}])


TIMES = [
    ["2024-01-01", "2024-01-02T10:00:00", "2024-01-03"],
    [datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 2, 10), datetime.date(2024, 1, 3)],
    np.array(["2024-01-01", "2024-01-02T10", "2024-01-03"], "datetime64[ns]"),
    pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]).tz_localize("UTC")),
    pyarrow.array([19723, 19724, 19725], pyarrow.date32()),
    ["3", "10", "20.5"],
]


@pytest.mark.parametrize("times", TIMES, ids=lambda times: type(times).__name__)
def test_times_are_dates_or_numbers_of_any_kind(times):
    order = read_texts((TEXTS[:3], ["x", "y", "x"]), order=times).order
    assert order.dtype == np.float64
    assert list(np.argsort(order)) == [0, 1, 2]


def test_times_of_a_parquet_table(table):
    times = pyarrow.array([0, 5, 1, 2, 3, 4], pyarrow.timestamp("ns", "Europe/Berlin"))
    assert list(np.argsort(read_texts(table({"at": times}, ".parquet"), order="at").order)) != []
    days = pyarrow.array([0, 5, 1, 2, 3, 4], pyarrow.date32())
    order = read_texts(table({"at": days}, ".parquet"), order="at").order
    assert list(np.argsort(order)) == [0, 2, 3, 4, 5, 1]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"who": ["p", "", "p", "q", "r", "r"]}, {"groups": "who"}, r"line 3: no group in column"),
        ({"at": [1, 2, "31.12.", 4, 5, 6]}, {"order": "at"}, r"line 4: time '31.12.' .*2024-12-31"),
        ({"at": [1, 2, "inf", 4, 5, 6]}, {"order": "at"}, r"line 4: time 'inf' in column 'at'"),
        ({"at": [1, None, 3, 4, 5, 6]}, {"order": "at"}, r"line 3: no time in column 'at'"),
        (
            {"at": [1, 2, 3, "2024-01-01", 5, 6]},
            {"order": "at"},
            r"'at' are numbers \(line 2\) and dates without a time zone \(line 5\): write all",
        ),
    ],
)
def test_a_row_whose_group_or_time_cannot_be_used(table, columns, options, message):
    with pytest.raises(InputError, match=message):
        read_texts(table(columns), **options)


def test_rows_without_a_group_can_be_skipped(table):
    path = table({"who": ["p", "", "p", "q", "r", "r"]})
    examples = read_texts(path, groups="who", on_bad_example="skip")
    assert list(examples.groups) == ["p", "p", "q", "r", "r"]
    assert [one.name for one in examples.skipped] == ["line 3"]
    again = read_texts((TEXTS, LABELS), groups=[1, None, 1, 2, 2, 2], on_bad_example="skip")
    assert list(again.inputs) == [TEXTS[0], *TEXTS[2:]]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ((TEXTS, LABELS), {"groups": [1, 2]}, r"arrays has 6 examples, but groups has 2 values"),
        ((TEXTS, LABELS), {"groups": "who"}, r"groups='who' names a column, but tuple has none"),
        (
            (TEXTS, LABELS),
            {"groups": 7},
            r"groups is of type int, but a list, an array or a column",
        ),
        ((TEXTS, LABELS), {"groups": TEXTS, "order": TEXTS}, r"pass groups or order, not both"),
        (
            (TEXTS, LABELS),
            {"groups": [[1]] * 6},
            r"example 0: \[1\] \(list\), but a name or a number",
        ),
    ],
)
def test_groups_that_do_not_go_with_the_source(source, options, message):
    with pytest.raises(InputError, match=message):
        read_texts(source, **options)


def test_a_stream_has_no_groups():
    with pytest.raises(InputError, match=r"a stream cannot be split"):
        read_texts(tf.data.Dataset.from_tensors((["a"], [0])), groups=[1])


def test_a_folder_has_no_columns(image_folder):
    with pytest.raises(InputError, match=r"folder .*pets has none.*recipe.read\(examples, groups="):
        read(image_folder({"a": 2, "b": 2}), task="single_label", modality="image", groups="person")
