"""Missing values, NaN and infinity in rows of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.data.sequences import Rows, numeric
from kft.data.values import is_missing

__all__ = ["filled_numbers", "not_finite"]

_CHUNK = 1024


def filled_numbers(rows: Rows) -> tuple[np.ndarray | None, dict[int, str]]:
    """Return rows of numbers with zeros for missing values, and reasons for bad rows by index.

    The array is None if the rows are not numbers, or differ in shape.
    """
    array = numeric(rows)
    if array is not None or (isinstance(rows, np.ndarray) and not rows.dtype.hasobject):
        return array, {} if array is None else not_finite(array, "target")
    gaps = {}
    filled: list[Any] = []
    for index, row in enumerate(rows):
        parts = list(row) if isinstance(row, list | tuple | np.ndarray) and np.ndim(row) else [row]
        if any(map(is_missing, parts)):
            gaps[index] = "no label"
            parts = [0 if is_missing(part) else part for part in parts]
        filled.append(parts if isinstance(row, list | tuple | np.ndarray) else parts[0])
    array = numeric(filled) if gaps and len(gaps) < len(filled) else None
    return array, {} if array is None else gaps | not_finite(array, "target")


def not_finite(array: np.ndarray, what: str) -> dict[int, str]:
    """Return the reason for each row with NaN or infinity, by index."""
    if array.dtype.kind != "f":
        return {}
    found: dict[int, str] = {}
    for start in range(0, len(array), _CHUNK):  # in chunks: a memmap may be larger than memory
        rows = array[start : start + _CHUNK].reshape(len(array[start : start + _CHUNK]), -1)
        for row in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
            found[start + int(row)] = f"{what} with NaN or infinity"
    return found
