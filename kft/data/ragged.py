"""Ragged labels, as arrays in an object array."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.data.sequences import Rows, numeric

__all__ = ["as_objects", "objects_not_finite"]


def as_objects(rows: Rows) -> np.ndarray:
    """Return labels as an object array `[n]`, with lists of numbers as arrays.

    An empty list becomes an array without rows, of the shape and type of the other labels.

    Args:
        rows: A value or a list of values for each example.
    """
    found = [_as_array(row) for row in rows]
    arrays = [one for one in found if isinstance(one, np.ndarray) and one.dtype != object]
    objects = np.empty(len(found), dtype=object)
    for index, one in enumerate(found):
        is_empty = isinstance(one, list | tuple | np.ndarray) and not len(np.atleast_1d(one))
        if is_empty and arrays:
            like = next((array for array in arrays if array.size), arrays[0])
            one = np.zeros((0, *like.shape[1:]), like.dtype)
        objects[index] = one
    return objects


def objects_not_finite(rows: np.ndarray) -> dict[int, str]:
    """Return the reason for each array with NaN or infinity, by index."""
    return {
        index: "target with NaN or infinity"
        for index, row in enumerate(rows)
        if isinstance(row, np.ndarray) and row.dtype.kind == "f" and not np.isfinite(row).all()
    }


def _as_array(row: Any) -> Any:
    if not isinstance(row, list | tuple | np.ndarray):
        if not hasattr(row, "__array__"):
            return row
        row = np.asarray(row)  # a tensor
    if isinstance(row, np.ndarray) and not row.ndim:
        return row.item()
    array = numeric(list(row) if isinstance(row, tuple) else row)
    return row if array is None else array
