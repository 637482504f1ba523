"""Classification of single values in data: missing, texts, numbers."""

from __future__ import annotations

import decimal
import sys
from typing import Any

import numpy as np

from kft.data.encodings import LONGEST, RIGHT_ENCODING, is_unicode

__all__ = ["held", "is_missing", "is_number", "kind_of", "text_value"]


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: None, NaN, NaT, `pandas.NA`, or a masked element."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    if isinstance(value, float | np.floating | np.datetime64 | np.timedelta64):
        return bool(value != value)
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, including NumPy's and decimals."""
    if isinstance(value, np.timedelta64):  # a subclass of NumPy's integers
        return False
    return isinstance(value, int | float | np.bool_ | np.integer | np.floating | decimal.Decimal)


def kind_of(value: Any) -> str:
    """Return a value's type for messages, with the value if it is short."""
    kind = type(value).__name__
    if np.ma.is_masked(value) and np.ndim(value):
        return f"an array with {np.ma.count_masked(value):,} masked values"
    if isinstance(value, str | bytes | tuple | list | dict | set) or is_number(value):
        written = repr(value[:20] if isinstance(value, str | bytes) else value)
        return f"{written} ({kind})" if len(written) <= 40 else kind
    return kind


def text_value(value: Any, encoding: str = "UTF-8") -> tuple[str, str]:
    """Return a value as text, and why it is not valid (empty if it is).

    Args:
        value: A string, or UTF-8 as bytes.
        encoding: The encoding with which a string was read, for the message about undecodable bytes.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            return "", f"not UTF-8 at byte {error.start}: decode it first"
    if is_missing(value):
        return "", "no text"
    if not isinstance(value, str):
        return "", f"{kind_of(value)}, but a text is expected"
    if len(value) > LONGEST:
        return (
            "",
            f"a text of {len(value):,} characters, but at most {LONGEST:,} are read: shorten it",
        )
    value = str.__str__(value)  # `str()` of a string enumeration would return its name
    if not value.strip():
        return value, "empty text"
    if not is_unicode(value):
        return "", f"not {encoding}: {RIGHT_ENCODING}"
    return value, ""


def held(rows: Any, numbers: np.ndarray | None) -> str:
    """Return the type of the values in rows, for messages.

    Args:
        rows: An array or a list.
        numbers: The rows as numbers, None if they are not numbers of one shape.
    """
    array = numbers if numbers is not None else rows
    if isinstance(array, np.ndarray):
        return f"dtype {array.dtype} and shape {array.shape}"
    return f"values such as {kind_of(next((row for row in rows if not is_missing(row)), None))}"
