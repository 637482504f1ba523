"""Lists, arrays, columns and tensors as sequences that can be indexed by position."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np

from kft.data.values import is_missing, is_number
from kft.errors import InputError

__all__ = ["as_rows", "is_frame", "numeric"]

Rows = np.ndarray | list[Any]


def as_rows(values: Any, name: str) -> Rows:
    """Return inputs or labels as an array or a list, in their order.

    Args:
        values: A list, a NumPy array, a column of pandas, Polars or Arrow, a tensor, or any other
            sequence.
        name: The name of the values in messages.

    Raises:
        InputError: They have no order or no length, or are a whole table.
    """
    _refuse_others(values, name)
    if isinstance(values, np.ma.MaskedArray):
        return _unmasked(values, name)
    if isinstance(values, np.ndarray):
        return _checked(values, name)
    if isinstance(values, list | tuple | range):
        return [_unwrapped(value) for value in values]
    if hasattr(values, "__getitem__") and not _is_array(values):
        with _named(values, name):
            return [values[index] for index in range(len(values))]
    return _checked(_array(values, name), name)


def numeric(rows: Rows) -> np.ndarray | None:
    """Return rows of numbers as an array `[n, ...]`; None if some are not numbers, masked, or differ in shape.

    NumPy by itself would turn the number in `["a", 1]` into text, and a missing value into "nan".
    """
    if isinstance(rows, np.ndarray) and not rows.dtype.hasobject:
        if rows.dtype.kind == "V" and rows.dtype.name.startswith(("bfloat16", "float8")):
            return rows.astype(np.float32)
        return rows if rows.dtype.kind in "biuf" else None
    if isinstance(rows, np.ndarray) and rows.ndim != 1:
        return numeric(list(rows)) if rows.ndim else None
    if not len(rows):
        return None
    if all(map(is_number, rows)):
        return _of_numbers(list(rows))
    if not all(isinstance(row, list | tuple) or _is_array(row) for row in rows):
        return None
    if any(np.ma.is_masked(row) for row in rows):
        return None
    parts = [
        numeric(list(row) if isinstance(row, list | tuple) else _array(row, "a row"))
        for row in rows
    ]
    if any(part is None or part.shape != parts[0].shape for part in parts):  # type: ignore[union-attr]
        return None
    return np.stack(parts)  # type: ignore[arg-type]


def is_frame(values: Any) -> bool:
    """Return whether a value is a table of columns, of pandas, Polars, Arrow or the like."""
    if isinstance(values, np.ndarray):
        return False
    return hasattr(values, "columns") or hasattr(values, "column_names")


def _of_numbers(values: list[Any]) -> np.ndarray | None:
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return array
    try:  # decimals, and integers of several sizes
        return np.asarray(values, np.float64)
    except (OverflowError, ValueError):  # too large, or a signalling NaN
        return None


def _refuse_others(values: Any, name: str) -> None:
    kind = type(values).__name__
    if values is None:
        raise InputError(f"{name} is None, but a list or an array is expected")
    if isinstance(values, str | bytes | bytearray | os.PathLike):
        raise InputError(f"{name} is a single {kind}: put it into a list")
    if isinstance(values, Set):
        raise InputError(f"{name} is of type {kind}, which has no order: pass a list")
    if is_frame(values):
        names = list(getattr(values, "column_names", None) or values.columns)
        some = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
        raise InputError(
            f"{name} is of type {kind} with the columns {some}: pass one column, such as "
            f"frame[{names[0] if len(names) else 'text'!r}], or frame.to_numpy() for rows of numbers"
        )
    if isinstance(values, Mapping):
        raise InputError(
            f"{name} is a {kind} of {', '.join(map(str, list(values)[:10]))}, but one array is "
            "expected: pass one of them, or kft.tasks.Several as the task for several labels"
        )
    if not hasattr(values, "__len__") or not (
        hasattr(values, "__getitem__") or hasattr(values, "__array__")
    ):
        way_out = f": pass list({name})" if hasattr(values, "__iter__") else ""
        raise InputError(
            f"{name} is of type {kind}, but a list, an array or a column is expected{way_out}"
        )


def _unmasked(values: Any, name: str) -> Rows:
    if not np.ma.getmaskarray(values).any():
        return _checked(values.data, name)
    if values.ndim == 1:
        return values.tolist()  # masked values become None
    raise InputError(
        f"{name} is a masked array with {int(np.ma.count_masked(values))} masked values: fill them, "
        "for example by .filled(0)"
    )


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 0:
        raise InputError(f"{name} is an array without axes, shape (): pass one row per example")
    return array


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or isinstance(value, memoryview)


def _unwrapped(value: Any) -> Any:
    """Return the value of an array or tensor without axes, as iteration over a tensor yields them."""
    if getattr(value, "shape", None) != () or isinstance(value, np.generic) or is_missing(value):
        return value
    return _array(value, "a value")[()] if _is_array(value) else value


def _array(values: Any, name: str) -> np.ndarray:
    with _named(values, name):
        if hasattr(values, "detach") and hasattr(values, "cpu"):  # a PyTorch tensor on any device
            values = values.detach().cpu()
            # NumPy has no bfloat16.
            values = values.float() if str(values.dtype) == "torch.bfloat16" else values
        listed = _of_arrow(values)
        if listed is not None:
            return listed
        array = np.asarray(values)
        if array.ndim > 1 and getattr(values, "shape", None) == array.shape[:1]:
            # A Polars column of structures, which NumPy turns into rows of numbers.
            array = np.empty(len(array), dtype=object)
            array[:] = values.to_list()
        return array


def _of_arrow(values: Any) -> np.ndarray | None:
    """Return an Arrow column, also one in pandas, that Arrow converts wrongly; None for others.

    For NumPy, Arrow (24 to 26) replaces missing values by those of other rows if the chunks of a column
    have separate dictionaries, and cannot convert lists of fixed-size bytes.
    """
    column = values
    if hasattr(getattr(values, "dtype", None), "pyarrow_dtype"):
        column = getattr(values, "array", values).__arrow_array__()
    kind = getattr(column, "type", None)
    is_list = hasattr(kind, "value_type") and "fixed_size_binary" in str(kind)
    if not is_list and not hasattr(kind, "index_type"):
        return None
    listed = np.empty(len(column), dtype=object)
    listed[:] = column.to_pylist()
    return listed


@contextlib.contextmanager
def _named(values: Any, name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # other libraries may raise anything
        raise InputError(
            f"{name} is of type {type(values).__name__} and cannot be read ({_first_line(error)}): pass a "
            "list or a NumPy array"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
