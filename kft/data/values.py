"""What single values of a person's data are: missing, texts, names, numbers."""

from __future__ import annotations

import decimal
import sys
from typing import Any

import numpy as np

from kft.data.encodings import LONGEST, is_unicode
from kft.data.labels import clean

__all__ = ["class_name", "is_missing", "is_number", "kind_of", "text_value"]


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, NaT, `pandas.NA`, a masked element."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, decimal.Decimal):
        return value.is_nan()
    if isinstance(value, float | np.floating | np.datetime64 | np.timedelta64):
        return bool(value != value)
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, also one of NumPy or a decimal."""
    if isinstance(value, np.timedelta64):  # which NumPy counts among its integers
        return False
    return isinstance(value, int | float | np.bool_ | np.integer | np.floating | decimal.Decimal)


def kind_of(value: Any) -> str:
    """Name a value's type as a message shows it, with the value where it is short."""
    kind = type(value).__name__
    if isinstance(value, str | bytes | tuple | list | dict | set) or is_number(value):
        said = repr(value[:20] if isinstance(value, str | bytes) else value)
        return f"{said} ({kind})" if len(said) <= 40 else kind
    return kind


def text_value(value: Any, encoding: str = "UTF-8") -> tuple[str, str]:
    """Return a value as a text, and why it cannot be used as one (empty if it can).

    Args:
        value: A string, or UTF-8 as bytes.
        encoding: What a string was read with, for the message about what is not.
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
        return "", f"a text of {len(value):,} letters, but at most {LONGEST:,} are read: shorten it"
    value = str.__str__(value)  # of an enumeration of strings str() would be its name
    if not value.strip():
        return value, "empty text"
    if not is_unicode(value):
        return "", f"not {encoding}: pass the right encoding or convert it"
    return value, ""


def class_name(value: Any, encoding: str = "UTF-8") -> tuple[str, str]:
    """Return a value as the name of a class, and why it cannot be one (empty if it can)."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)), ""
    if is_number(value) and not is_missing(value):
        if abs(value) < 2**64 and value == int(value):
            return str(int(value)), ""
        return "", (
            f"{value} as a label, but a class is a name or a whole number: use "
            'task="regression" for numbers'
        )
    name, reason = text_value(value, encoding)
    if reason in ("no text", "empty text"):
        return "", "no label"
    if reason and not isinstance(value, str | bytes):
        return "", f"{kind_of(value)} as a label, but the name of a class is expected"
    return clean(name), reason
