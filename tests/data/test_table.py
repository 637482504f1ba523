import numpy as np
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
    with pytest.raises(InputError, match=r"data.parquet is no readable Parquet file"):
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
    assert examples.skipped[1].reason.startswith("no such file: ")
    assert len(examples) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"data.csv is empty: expected a first line that names the columns"),
        ("label,text\n", r"data.csv has no usable row: expected columns 'text' and 'label'"),
        ("label,body\na,b\n", r"no column 'text', only 'label', 'body': .* text_column=\.\.\."),
        ("text,class\na,b\n", r"no column 'label', only 'text', 'class': .* label_column=\.\.\."),
        ("text,label\na,\nb,x\n", r"1 bad example:\n  line 2: no label in column 'label'\nCorrect"),
        ("text,label\n ,x\nb,y\n", r"line 2: no value in column 'text'\n.*on_bad_example"),
        ("text,label\na,x\nb,x\n", r"data.csv has one class, 'x', but .* at least 2: add a class"),
        ("text,label\na,x\nb,y,z\n", r'line 3 of data.csv has 3 fields.*2 columns: .*"double'),
        ('text,label\n"a,x\nb,y\n', r"data.csv has an unbalanced quotation mark: write one"),
        (
            b"text,label\nsch\xf6n,x\nsch\xc3\xb6n,y\n",
            r"line 2: not utf-8 in column 'text': pass encoding=\.\.\. or convert",
        ),
        (b"text,label\nb,sch\xf6n\na,x\n", r"line 2: not utf-8 in column 'label'"),
        ("text,label\nä,x\n".encode("utf-16"), r"is UTF-16, .*: pass encoding='utf-16'"),
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
