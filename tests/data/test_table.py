import csv
import datetime
import decimal
import gzip
import os

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from kft import InputError
from kft.data.read import read

pytestmark = pytest.mark.once


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def read_text(path, **options):
    return read(path, **{"task": "single_label", "modality": "text", **options})


PLAIN = 'label,text\npos,"good, really"\nneg,"bad ""thing"""\n\npos,"two\nlines"\n'


def test_csv_with_quotes_commas_and_line_breaks(write):
    examples = read_text(write(PLAIN))
    assert examples.kind == "texts"
    assert list(examples.inputs) == ["good, really", 'bad "thing"', "two\nlines"]
    np.testing.assert_array_equal(examples.targets, [1, 0, 1])
    assert examples.classes == ("neg", "pos")
    assert examples.source == "data.csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends(encoding, newline, write):
    content = "label,text\npos,schön\nneg,übel\n".replace("\n", newline)
    path = write(content, encoding=encoding)
    given = "utf-8" if encoding == "utf-8-sig" else encoding
    assert list(read_text(path, encoding=given).inputs) == ["schön", "übel"]


def test_tsv_without_quoting_keeps_every_quotation_mark(write):
    content = 'label\ttext\npos\t"good" they said\nneg\t"bad\npos\t5" wide\n'
    assert list(read_text(write(content, "data.tsv")).inputs) == [
        '"good" they said',
        '"bad',
        '5" wide',
    ]


def test_tsv_with_quoting_is_understood(write):
    content = 'label\ttext\npos\t"a ""good"" one"\nneg\t"two\nlines"\n'
    assert list(read_text(write(content, "data.tsv")).inputs) == ['a "good" one', "two\nlines"]


def test_separators_of_other_alphabets_end_no_line(write):
    content = "label,text\npos,one\u2028two\x0cthree\x85four\nneg,b\n"
    assert read_text(write(content)).inputs[0] == "one\u2028two\x0cthree\x85four"


def test_parquet(tmp_path):
    path = tmp_path / "data.parquet"
    table = pyarrow.table({"id": [1, 2, 3], "text": ["a", "b", "c"], "label": [10, 2, 10]})
    pyarrow.parquet.write_table(table, path)
    examples = read_text(path)
    assert list(examples.inputs) == ["a", "b", "c"]
    assert examples.classes == ("10", "2")
    with pytest.raises(InputError, match=r"data.parquet has no column 'stars', only 'id', 'text'"):
        read_text(path, label_column="stars")
    missing = pyarrow.table({"text": ["a", None, "c"], "label": ["x", "y", None]})
    pyarrow.parquet.write_table(missing, path)
    with pytest.raises(InputError, match=r"row 2: no value in column 'text'\n  row 3: no label"):
        read_text(path)
    path.write_bytes(b"PAR1 rubbish")
    with pytest.raises(InputError, match=r"data.parquet is not a readable Parquet file"):
        read_text(path)


def test_other_columns_by_name(write):
    path = write("review,stars,lang\nfine,5,en\npoor,1,en\n")
    examples = read_text(path, text_column="review", label_column="stars")
    assert examples.classes == ("1", "5")


def test_several_labels_are_separated_by_a_bar(write):
    path = write("text,label\na,red|round\nb,\nc, round \n")
    examples = read_text(path, task="multi_label")
    assert examples.classes == ("red", "round")
    assert examples.targets.dtype == np.float32
    np.testing.assert_array_equal(examples.targets, [[1, 1], [0, 0], [0, 1]])
    with pytest.raises(InputError, match=r"line 2 of data.csv: label 'red' was not seen"):
        read_text(path, task="multi_label", classes=("round", "square"))


def test_numbers_for_regression(write):
    path = write("text,x,y\na,1.5,2\nb,-3e2,4\n")
    examples = read_text(path, task="regression", label_column="x")
    assert examples.classes is None
    np.testing.assert_array_equal(examples.targets, np.array([1.5, -300], "float32"))
    both = read_text(path, task="regression", label_column=["x", "y"])
    assert both.targets.shape == (2, 2)
    with pytest.raises(InputError, match=r"label_column=\['x', 'y'\], but single_label has one"):
        read_text(path, label_column=["x", "y"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [("", "no value"), ("much", "'much'"), ("nan", "nan in"), ("inf", "inf in")],
)
def test_targets_that_are_no_numbers(value, reason, write):
    path = write(f"text,label\na,1\nb,{value}\n")
    with pytest.raises(InputError, match=rf"line 3: {reason}.*'label', where regression needs"):
        read_text(path, task="regression")


def test_paths_are_relative_to_the_table(image_folder, tmp_path):
    image_folder({"a": 2}, name="pets")
    path = tmp_path / "data.csv"
    path.write_text("path,label\npets/a/000.png,x\npets/a/001.png,y\n")
    examples = read(path, task="single_label", modality="image")
    assert examples.kind == "image_files"
    assert examples.inputs[1] == str(tmp_path / "pets/a/001.png")
    (tmp_path / "pets/a/001.png").write_bytes(b"")
    with path.open("a") as file:
        file.write("pets/a/009.png,x\npets/a/000.png,y\n")
    examples = read(path, task="single_label", modality="image", on_bad_example="skip")
    assert [bad.name for bad in examples.skipped] == ["line 3", "line 4"]
    assert examples.skipped[0].reason.endswith("001.png: empty file")
    assert examples.skipped[1].reason.endswith("009.png: no such file")
    assert len(examples) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"data.csv is empty: expected a first line that names the columns"),
        ("label,text\n", r"data.csv has no usable row: expected columns 'text' and 'label'"),
        ("label,body\na,b\n", r"no column 'text', only 'label', 'body': .* text_column=\.\.\."),
        (
            "text,class\na,b\n",
            r"no column 'label', only 'text', 'class': .* label_column=\.\.\. of \S+$",
        ),
        ("Text,Label\na,b\n", r"only 'Text', 'Label': name the right one by text_column='Text'"),
        ("text,labels\na,b\n", r"name the right one by label_column='labels' of recipe.read$"),
        (
            "So good!,yes\nbad,no\n",
            r"only 'So good!', 'yes': .*, or add a first line that names the ",
        ),
        ("text,label\na,\nb,x\n", r"1 bad example:\n  line 2: no label in column 'label'\nCorrect"),
        ("text,label\n ,x\nb,y\n", r"line 2: no value in column 'text'\n.*on_bad_example"),
        ("text,label\na,x\nb,x\n", r"data.csv has one class, 'x', but .* at least 2: add a class"),
        ("text,label\na,x\nb,y,z\n", r'line 3: 3 fields, but .*2 columns: .*"double'),
        (
            'text,label\n"a,x\nb,y\n',
            r"line 2 of data.csv has an unbalanced quotation mark .*: write one",
        ),
        (
            b"text,label\nsch\xf6n,x\nsch\xc3\xb6n,y\n",
            r"line 2: not utf-8 in column 'text': pass the right one, such as encoding='cp1252' for",
        ),
        (b"text,label\nb,sch\xf6n\na,x\n", r"line 2: not utf-8 in column 'label'"),
    ],
)
def test_bad_tables_are_refused_by_line(content, message, write):
    with pytest.raises(InputError, match=message):
        read_text(write(content))


def test_bad_rows_can_be_skipped_and_are_listed(write):
    path = write(b"text,label\nsch\xf6n,x\ngood,y\nfine,\nlast,x\n")
    examples = read_text(path, on_bad_example="skip")
    assert list(examples.inputs) == ["good", "last"]
    assert [bad.name for bad in examples.skipped] == ["line 2", "line 4"]


def test_a_label_unseen_in_training_is_an_error_even_when_skipping(write):
    path = write("text,label\na,pos\nb,neutral\n")
    with pytest.raises(
        InputError,
        match=r"line 3 of data.csv: label 'neutral' was not seen .*'neg', 'pos': correct",
    ):
        read_text(path, classes=("neg", "pos"), on_bad_example="skip")


def test_an_unknown_encoding_is_named(write):
    with pytest.raises(InputError, match=r"encoding='klingon' .*: pass the right one"):
        read_text(write(PLAIN), encoding="klingon")


def read_columns(tmp_path, task="single_label", **columns):
    options = {
        name: columns.pop(name) for name in ("on_bad_example", "label_column") if name in columns
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    return read_text(tmp_path / "t.parquet", task=task, **options)


TEXTS = ["one", "two", "three"]
NAMES = ["a", "b", "a"]


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.string(),
        pyarrow.large_string(),
        pyarrow.string_view(),
        pyarrow.binary(),
        pyarrow.large_binary(),
        pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
    ],
    ids=str,
)
def test_parquet_keeps_texts_in_many_ways(kind, tmp_path):
    if kind == pyarrow.string_view() and int(pyarrow.__version__.partition(".")[0]) < 21:
        pytest.skip("pyarrow 21 is the first that writes string_view to Parquet")
    texts, labels = (pyarrow.array(values).cast(kind) for values in (TEXTS, NAMES))
    examples = read_columns(tmp_path, text=texts, label=labels)
    assert list(examples.inputs) == TEXTS
    assert examples.classes == ("a", "b")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pyarrow.array([1, 2, 1]).dictionary_encode(), ("1", "2")),
        ([True, False, True], ("False", "True")),
        ([1.0, 2.0, 1.0], ("1", "2")),
        ([decimal.Decimal("1.00"), decimal.Decimal("2.00"), decimal.Decimal("1.00")], ("1", "2")),
        (pyarrow.array([1, 2**64 - 1, 1], pyarrow.uint64()), ("1", str(2**64 - 1))),
    ],
)
def test_parquet_keeps_classes_as_numbers_too(labels, classes, tmp_path):
    assert read_columns(tmp_path, text=TEXTS, label=labels).classes == classes


@pytest.mark.parametrize(
    "labels",
    [
        [["a", "b"], ["b"], []],
        pyarrow.array([["a", "b"], ["b"], []], pyarrow.large_list(pyarrow.large_string())),
        pyarrow.array(
            [["a", "b"], ["b"], []],
            pyarrow.list_(pyarrow.dictionary(pyarrow.int32(), pyarrow.string())),
        ),
        ["a|b", "b", ""],
    ],
)
def test_lists_in_parquet_are_several_labels(labels, tmp_path):
    examples = read_columns(tmp_path, "multi_label", text=TEXTS, label=labels)
    assert examples.classes == ("a", "b")
    np.testing.assert_array_equal(examples.targets, [[1, 1], [0, 1], [0, 0]])


def test_gaps_in_parquet_are_bad_rows(tmp_path):
    given = {"text": ["one", None, "three", "four", ""], "label": ["a", "b", None, "b", "a"]}
    with pytest.raises(
        InputError, match=r"row 2: no value in .*\n  row 3: no label in .*\n  row 5: no v"
    ):
        read_columns(tmp_path, **given)
    examples = read_columns(tmp_path, **given, on_bad_example="skip")
    assert list(examples.inputs) == ["one", "four"]
    assert len(examples.skipped) == 3
    lists = [["a", "b"], ["b", None], None, ["", "a"], ["a"]]
    examples = read_columns(
        tmp_path, "multi_label", text=list("vwxyz"), label=lists, on_bad_example="skip"
    )
    assert list(examples.inputs) == ["v", "z"]
    numbers = [1.5, float("nan"), None, 1e300, 2]
    examples = read_columns(
        tmp_path, "regression", text=list("vwxyz"), label=numbers, on_bad_example="skip"
    )
    assert list(examples.inputs) == ["v", "z"]


def test_bytes_that_are_no_utf_8_are_bad_rows(tmp_path):
    texts = pyarrow.array([b"one", b"\xff", b"three"], pyarrow.binary())
    with pytest.raises(InputError, match=r"row 2: not utf-8 in column 'text'"):
        read_columns(tmp_path, text=texts, label=NAMES)


@pytest.mark.parametrize(
    ("columns", "task", "message"),
    [
        (
            {"label": [["a"], ["b"], ["a"]]},
            "single_label",
            r"holds list.*: use task=\"multi_label\"",
        ),
        ({"label": [{"x": 1}] * 3}, "single_label", r"holds struct<x: int64>, but names or whole"),
        ({"label": [{"x": 1}] * 3}, "multi_label", r"holds struct<x: int64>, but lists of names"),
        (
            {"label": [[{"x": 1}]] * 3},
            "multi_label",
            r"holds list<element: struct<.*lists of names",
        ),
        ({"label": [[["a"]]] * 3}, "multi_label", r"holds list<element: list<.*lists of names"),
        ({"label": [[1, 0], [0, 1], [0, 0]]}, "multi_label", r"holds rows of 0 and 1"),
        (
            {"label": [["x" * 10_001], [], []]},
            "multi_label",
            r"label of more than 10,000 characters",
        ),
        ({"label": [datetime.datetime(2020, 1, 1)] * 3}, "single_label", r"holds timestamp"),
        ({"label": [datetime.timedelta(1)] * 3}, "regression", r"holds duration.*numbers are exp"),
        ({"label": [[1.0]] * 3}, "regression", r"holds list.*but numbers are expected"),
        ({"label": [1.0, 2.5, 1.0]}, "single_label", r'row 2: 2.5 as a label, .*task="regression"'),
        ({"label": NAMES, "text": [1, 2, 3]}, "single_label", r"'text' .* int64, but texts are"),
        ({"label": NAMES, "text": [["a"]] * 3}, "single_label", r"'text' .* list.*: convert the"),
        ({"label": NAMES, "text": [{"a": 1}] * 3}, "single_label", r"'text' .* struct.*but texts"),
        (
            {"label": [], "text": pyarrow.array([], pyarrow.string())},
            "single_label",
            r"no usable row",
        ),
        ({"label": pyarrow.nulls(3)}, "single_label", r"3 bad examples"),
    ],
)
def test_columns_of_another_type_are_refused_by_name(columns, task, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_columns(tmp_path, task, **{"text": TEXTS, **columns})


def test_a_column_may_be_the_index_or_have_dots_in_its_name(tmp_path):
    frame = pandas.DataFrame({"text": TEXTS, "label": NAMES}).set_index("text")
    frame.to_parquet(tmp_path / "t.parquet")
    assert list(read_text(tmp_path / "t.parquet").inputs) == TEXTS
    table = pyarrow.table({"a.b": TEXTS, "a": [{"b": 1}] * 3, "c.d": NAMES})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    examples = read_text(tmp_path / "t.parquet", text_column="a.b", label_column="c.d")
    assert list(examples.inputs) == TEXTS


def test_two_columns_of_one_name_are_refused_where_they_are_asked_for(tmp_path, write):
    arrays = [pyarrow.array(TEXTS), pyarrow.array(NAMES), pyarrow.array(NAMES)]
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, ["text", "label", "label"]), path)
    for table in (path, write("text,label, label\none,a,b\n")):
        with pytest.raises(InputError, match=r"has 2 columns called 'label': rename all but one"):
            read_text(table)
    assert len(read_text(write("text,label,x,x\none,a,1,2\ntwo,b,1,2\n"))) == 2


def test_damaged_parquet_files_are_named(tmp_path):
    read_columns(tmp_path, text=TEXTS * 50, label=NAMES * 50)
    path = tmp_path / "t.parquet"
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    flipped = []
    for _ in range(60):
        one = bytearray(whole)
        one[random.integers(len(one))] ^= int(random.integers(1, 256))
        flipped.append(bytes(one))
    refused = 0
    for content in (b"", whole[:-4] + b"PARE", whole[: len(whole) // 2], *flipped):
        path.write_bytes(content)
        try:
            read_text(path)
        except InputError:
            refused += 1
    assert refused > 20


def test_a_small_parquet_file_stays_small_in_memory(tmp_path):
    path = tmp_path / "t.parquet"
    long = "x" * 1_000_000
    texts = pyarrow.DictionaryArray.from_arrays(np.arange(4_000, dtype="int32") % 2, [long, "y"])
    labels = NAMES[:2] * 2_000
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": labels}), path)
    examples = read_text(path)
    assert len(examples) == 4_000
    assert (
        len({id(text) for text in examples.inputs}) < 20
    )  # one object per distinct text and chunk
    texts = ["y" * 5_000_000] * 15
    pyarrow.parquet.write_table(
        pyarrow.table({"text": texts, "label": NAMES * 5}),
        path,
        compression="zstd",
        use_dictionary=False,
    )
    with pytest.raises(
        InputError, match=r"unpacks from [\d,]+ to 75,\d+,\d+ bytes, too many for a table"
    ):
        read_text(path)


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
@pytest.mark.parametrize("name", ["data.csv", "data.tsv"])
def test_the_separator_is_the_one_with_which_the_columns_are_there(separator, name, write):
    lines = [["label", "text"], ["pos", '"good; really, | good"'], ["neg", "bad"]]
    content = "".join(separator.join(line) + "\n" for line in lines)
    assert list(read_text(write(content, name)).inputs) == ["good; really, | good", "bad"]


def test_another_separator_is_told_where_no_column_fits(write):
    path = write("review;stars\nfine;5\npoor;1\n")
    with pytest.raises(
        InputError, match=r"no column 'text', only 'review', 'stars' \(separated by ';'"
    ):
        read_text(path)
    examples = read_text(path, text_column="review", label_column="stars")
    assert examples.classes == ("1", "5")
    with pytest.raises(InputError, match=r"its separator may be a semicolon or a tab: quote"):
        read_text(write("text;label;x\ttext\tlabel\n1;2;3\n"))


def test_excels_own_first_line_names_the_separator(write):
    path = write("sep=;\r\ntext;label\r\none;a\r\ntwo;\r\n")
    with pytest.raises(InputError, match=r"line 4: no label in column 'label'"):
        read_text(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_names_the_encoding(encoding, write):
    content = "text\tlabel\r\nschön\ta\r\nübel\tb\r\n"
    path = write(content.encode(encoding))
    for expected in ("utf-8", "latin-1"):
        assert list(read_text(path, encoding=expected).inputs) == ["schön", "übel"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"text,label\na,b\n"), r"data.csv is a gzip archive: unpack it with gunzip"),
        (b"PK\x03\x04", r"data.csv is a ZIP archive or an Excel workbook: unpack it, or save"),
        (b"PAR1", r"data.csv is a Parquet file: let its name end in .parquet"),
        (
            "text,label\nä,x\n".encode("utf-16-le"),
            r"has NUL bytes .*: pass encoding='utf-16-le' if",
        ),
        (b"\0" * 100_000, r"has NUL bytes in its first line"),
        ("x," * 5000 + "\n", r"no column 'text', only 'x', .* and 4981 more"),
        ("text,label\n" + "w" * (2**24 + 1) + ",a\n", r"line 2 .* more than 16,777,216 characters"),
        ('text,label\n"' + "w\n" * 2**23 + '\n",a\n', r"line 2 .* a field of more than 16,777,216"),
        ('text,label\n"a"b,x\n', r"line 2 .* unbalanced quotation mark \(',' expected after"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_no_csv_says_what_it_is(content, message, write):
    with pytest.raises(InputError, match=message):
        read_text(write(content))


def test_a_long_text_is_read_and_the_limit_of_others_stays(write):
    before = csv.field_size_limit()
    assert len(read_text(write("text,label\n" + "word " * 27_000 + ",a\nshort,b\n"))) == 2
    assert csv.field_size_limit() == before


def test_rows_of_another_length_can_be_skipped(write):
    path = write("text,label\none\ntwo,b\nthree,a\n")
    examples = read_text(path, on_bad_example="skip")
    assert list(examples.inputs) == ["two", "three"]
    assert examples.skipped[0].name == "line 2"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1,5", "'1,5' in column 'label', where regression needs a number with a decimal point"),
        ("1_000", "'1_000' in column 'label', where regression needs a number"),
        ("1e300", "1e300 in column 'label', where regression needs a finite number of float32"),
    ],
)
def test_numbers_that_would_be_misread_are_refused(value, reason, write):
    with pytest.raises(InputError, match=f"line 3: {reason}"):
        read_text(write(f"text;label\na;1\nb;{value}\n"), task="regression")


@pytest.mark.parametrize("cell", ["x;y", "x,y", "['x', 'y']", "(x)"])
def test_labels_separated_by_something_else_are_refused(cell, write):
    path = write(f'text,label\na,"{cell}"\nb,x\n')
    with pytest.raises(InputError, match=r"several labels are separated by '\|': write a\|b"):
        read_text(path, task="multi_label")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_is_no_file_is_never_opened(suffix, tmp_path):
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    with pytest.raises(
        InputError, match=r"a named pipe, but a file is expected; data are a folder"
    ):
        read_text(path)
    path = tmp_path / f"zero{suffix}"
    path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match=r"a device, but a file is expected"):
        read_text(path)
    path = tmp_path / f"sparse{suffix}"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(
        InputError, match=r"1,000,000,000,000 bytes, but at most .* a tf.data.Dataset"
    ):
        read_text(path)


@pytest.mark.parametrize("mark", [" ", "\t", "\n", "/", "+", " & "])
def test_labels_that_stand_alone_elsewhere_are_not_one_label_together(tmp_path, mark):
    (tmp_path / "t.csv").write_text(f'text,label\na,"x{mark}y"\nb,y\nc,x\n', newline="")
    with pytest.raises(InputError, match=r"several labels are separated by '\|'"):
        read(tmp_path / "t.csv", task="multi_label", modality="text")
    (tmp_path / "t.csv").write_text(f'text,label\na,"x{mark}y"\nb,y\nc,z\n', newline="")
    assert len(read(tmp_path / "t.csv", task="multi_label", modality="text").classes) == 3


def test_cells_of_0_and_1_are_not_names(tmp_path):
    (tmp_path / "t.csv").write_text("text,label\na,0|1\nb,1|1\nc,1|0\n")
    with pytest.raises(InputError, match="holds rows of 0 and 1"):
        read(tmp_path / "t.csv", task="multi_label", modality="text")


def test_several_columns_of_0_and_1_are_several_labels(write, tmp_path):
    path = write("text,red,round,small\na,1,0,1\nb,0,0,0\nc,True,1.0,0\n")
    columns = ["red", "round", "small"]
    examples = read_text(path, task="multi_label", label_column=columns)
    assert examples.classes == ("red", "round", "small")
    np.testing.assert_array_equal(examples.targets, [[1, 0, 1], [0, 0, 0], [1, 1, 0]])
    pyarrow.parquet.write_table(
        pyarrow.table({"text": ["a", "b"], "red": [1, 0], "round": [True, False]}),
        tmp_path / "data.parquet",
    )
    again = read_text(
        tmp_path / "data.parquet",
        task="multi_label",
        label_column=["round", "red"],
        classes=("red", "round"),
    )
    np.testing.assert_array_equal(again.targets, [[1, 1], [0, 0]])
    with pytest.raises(InputError, match=r"column 'small' of data.csv: label 'small' was not seen"):
        read_text(path, task="multi_label", label_column=columns, classes=("red", "round"))


def test_other_values_than_0_and_1_in_several_columns_are_named(write):
    path = write("text,red,round\na,1,2\nb,,1\n")
    with pytest.raises(
        InputError, match=r"line 2: '2' \(str\) where 0 or 1.*'round'\n  line 3: '' .*'red'"
    ):
        read_text(path, task="multi_label", label_column=["red", "round"])


@pytest.mark.parametrize(
    ("task", "columns", "expected"),
    [
        ("regression", "age", [1.5, 2.5]),
        ("regression", ["age", "size"], [[1.5, 3], [2.5, 4]]),
        ("multi_label", "tags", [[1, 1], [0, 1]]),
        ("multi_label", ["old", "new"], [[0, 1], [1, 0]]),
    ],
)
def test_a_folder_of_images_with_a_table_of_their_names(
    image_folder, tmp_path, task, columns, expected
):
    image_folder({"images": 2}, name="data")
    table = tmp_path / "data/labels.csv"
    table.write_text("file,age,size,tags,old,new\n000.png,1.5,3,a|b,0,1\n001.png,2.5,4,b,1,0\n")
    options = {"task": task, "modality": "image", "path_column": "file", "label_column": columns}
    with pytest.raises(InputError, match=r"no such file; it lies in .*pass image_root='.*/images'"):
        read(table, **options)
    examples = read(table, image_root=tmp_path / "data/images", **options)
    np.testing.assert_array_equal(examples.targets, expected)
    with pytest.raises(InputError, match=r"image_root='nowhere', but the folder that paths of"):
        read(table, image_root="nowhere", **options)
