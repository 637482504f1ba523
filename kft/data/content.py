"""Digests of values by their content, equal in every process whatever the hash seed."""

from __future__ import annotations

import decimal
import hashlib
import os
import struct
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from kft.errors import InputError

__all__ = ["content_digest"]

_DEEPEST = 64  # levels of nested lists


def content_digest(value: Any) -> bytes:
    """Return the SHA-256 of a value's content.

    Equal values of the same type have the same digest. Types and grouping count: None and "None", 1
    and "1", ["ab", "c"] and ["a", "bc"] differ.

    Args:
        value: None, a string, bytes, a number, an array, or lists, dicts and sets of these.

    Raises:
        InputError: The value is of another type, or nested too deeply.
    """
    return _digest(value, 0)


def _digest(value: Any, depth: int) -> bytes:
    if depth > _DEEPEST:
        raise InputError(
            f"more than {_DEEPEST} lists inside each other cannot be identified by their content"
        )
    whole = hashlib.sha256()
    kind, parts = _kind_and_parts(value, depth)
    whole.update(kind.encode())
    whole.update(b"\0")
    for part in parts:
        whole.update(part)
    return whole.digest()


def _kind_and_parts(value: Any, depth: int) -> tuple[str, Any]:
    """Return a value's type, and its content as bytes in one part or as digests of equal length."""
    if value is None or isinstance(value, bool):
        return repr(value), ()
    if isinstance(value, str):
        return "str", (value.encode("utf-8", "surrogatepass"),)
    if isinstance(value, bytes | bytearray):
        return "bytes", (value,)
    if isinstance(value, np.ma.MaskedArray):
        parts = (
            value.filled(0) if value.dtype.kind in "biufc" else value.data,
            np.ma.getmaskarray(value),
        )
        return "masked array", (_digest(part, depth + 1) for part in parts)
    if isinstance(value, np.ndarray | np.generic):
        return _array_parts(np.asarray(value), depth)
    if isinstance(value, int):
        return "int", (hex(value).encode(),)
    if isinstance(value, float):
        return "float", (struct.pack("<d", value),)
    if isinstance(value, complex | decimal.Decimal):
        return type(value).__name__, (repr(value).encode(),)
    if isinstance(value, os.PathLike):
        return "path", (os.fsencode(value),)
    if isinstance(value, list | tuple):
        return type(value).__name__, (_digest(one, depth + 1) for one in value)
    if isinstance(value, Set):
        return "set", sorted(_digest(one, depth + 1) for one in value)
    if isinstance(value, Mapping):
        items = (_digest(item, depth + 1) for item in value.items())
        return "dict", sorted(items)
    if isinstance(getattr(value, "content", None), bytes):  # it has a digest of what it reads
        return type(value).__name__, (value.content,)
    if hasattr(value, "__array__"):  # a tensor
        return _array_parts(np.asarray(value), depth)
    raise InputError(
        f"{type(value).__name__} cannot be identified by its content: pass numbers, strings, bytes, "
        "or lists and dicts of them"
    )


def _array_parts(array: np.ndarray, depth: int) -> tuple[str, Any]:
    # The name distinguishes types that NumPy does not know, such as bfloat16.
    described = array.dtype.str if array.dtype.names is None else array.dtype.descr
    kind = f"array {described} {array.dtype.name} {array.shape}"
    if not array.dtype.hasobject:
        return kind, (np.ascontiguousarray(array).reshape(-1).view(np.uint8),)
    return kind, (_digest(one, depth + 1) for one in array.reshape(-1).tolist())
