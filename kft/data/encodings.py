"""Encodings of text: byte order marks, decoding, and recognition of files that are not text."""

from __future__ import annotations

import codecs
from typing import Any

from kft.arguments import shown
from kft.errors import InputError

__all__ = [
    "LONGEST",
    "RIGHT_ENCODING",
    "checked_encoding",
    "encoding_of",
    "is_unicode",
    "text_of",
    "what_else",
]

LONGEST = 2**24  # characters per text; a longer one is a mistake, and slow to tokenize
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_OTHER_FILES = (
    (b"\x1f\x8b", "a gzip archive", "unpack it with gunzip"),
    (b"BZh", "a bzip2 archive", "unpack it with bunzip2"),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", "unpack it with unzstd"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as CSV"),
    (b"PAR1", "a Parquet file", "let its name end in .parquet"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"%PDF", "a PDF", "export the table as CSV"),
)
# What to do about a text that cannot be decoded. Spreadsheets on Windows save in the code page of the country.
RIGHT_ENCODING = (
    "pass the right one, such as encoding='cp1252' for a file from Windows, or convert it"
)
_NOT_FOR_FILES = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}


def checked_encoding(encoding: Any) -> str:
    """Return the name of an encoding after checking that it is one of text files.

    Raises:
        InputError: Python knows no such encoding, or it encodes bytes, such as "zip" or "hex".
    """
    try:
        if codecs.lookup(encoding).name.replace("-", "_") in _NOT_FOR_FILES:
            raise LookupError
        "".encode(encoding)  # LookupError if it encodes bytes
    except (LookupError, ValueError, TypeError) as error:
        raise InputError(
            f"encoding={shown(encoding)} is not the encoding of a text file: pass the right one, such "
            "as 'utf-8', 'latin-1' or 'utf-16'"
        ) from error
    return str(encoding)


def encoding_of(head: bytes, encoding: str) -> str:
    """Return the encoding of a file by its byte order mark, if it has one.

    Args:
        head: The first bytes of the file, at least four unless it is shorter.
        encoding: The encoding of a file without a mark.
    """
    return next((name for mark, name in _MARKS if head.startswith(mark)), encoding)


def what_else(head: bytes) -> str:
    """Return the type of a file that is not text and the way out; empty if it is not recognised."""
    for mark, what, way_out in _OTHER_FILES:
        if head.startswith(mark):
            return f"{what}: {way_out}"
    return ""


def text_of(content: bytes, encoding: str) -> tuple[str, str]:
    """Decode a text file; return its text without surrounding whitespace, and why it is unusable.

    Args:
        content: All bytes of the file.
        encoding: The encoding of a file without a byte order mark.
    """
    other = what_else(content[:32])
    if other:
        return "", f"not a text but {other}"
    encoding = encoding_of(content[:4], encoding)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        return (
            "",
            f"not {encoding} at byte {error.start}: {RIGHT_ENCODING}",
        )
    except UnicodeError as error:  # some codecs do not report the position
        return "", f"not {encoding} ({error}): {RIGHT_ENCODING}"
    text = text.removeprefix("\ufeff").strip()
    if len(text) > LONGEST:
        return (
            "",
            f"a text of {len(text):,} characters, but at most {LONGEST:,} are read: shorten it",
        )
    if "\0" in text:
        return "", (
            "not a text, for it has NUL characters: pass encoding='utf-16-le' if it is UTF-16 without "
            "a byte order mark"
        )
    return (text, "") if text else ("", "empty file")


def is_unicode(text: str) -> bool:
    """Return whether a string has no lone surrogates, which stand for undecodable bytes."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
