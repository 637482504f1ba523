import gzip

import pytest

from kft import InputError
from kft.data.encodings import LONGEST, checked_encoding, encoding_of, text_of, what_else

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    "encoding",
    [
        "zip",
        "hex",
        "rot13",
        "bz2",
        "uu",
        "base64",
        "idna",
        "undefined",
        "klingon",
        "",
        "a\0b",
        None,
        3,
    ],
)
def test_what_encodes_no_text_is_refused_by_name(encoding):
    with pytest.raises(InputError, match=r"encoding=.* is not the encoding of a text file: pass"):
        checked_encoding(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "latin-1", "utf-16", "cp1252", "shift_jis"])
def test_encodings_of_texts_are_taken(encoding):
    assert checked_encoding(encoding) == encoding


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_right_whatever_was_expected(encoding):
    content = "schön".encode(encoding)
    assert encoding_of(content[:4], "latin-1") == encoding
    assert text_of(content, "latin-1") == ("schön", "")
    assert encoding_of(b"", "latin-1") == "latin-1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b" \n", "empty file"),
        ("schön".encode("latin-1"), "not utf-8 at byte 3: pass the right one"),
        ("plain".encode("utf-16-le"), "has NUL characters: pass encoding='utf-16-le'"),
        (gzip.compress(b"text"), "not a text but a gzip archive: unpack it with gunzip"),
        (b"w" * (LONGEST + 1), "a text of 16,777,217 characters, but at most 16,777,216 are read"),
    ],
)
def test_what_is_no_text_says_what_it_is(content, reason):
    text, said = text_of(content, "utf-8")
    assert text == ""
    assert reason in said


def test_other_files_are_known_by_their_first_bytes():
    assert what_else(b"PAR1") == "a Parquet file: let its name end in .parquet"
    assert "Excel" in what_else(b"PK\x03\x04rest")
    assert what_else(b"text,label\n") == ""
