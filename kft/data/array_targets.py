"""Labels that are in memory already, to targets: indices, names, rows of 0 and 1, numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.data.labels import (
    SEPARATOR,
    check_classes,
    class_targets,
    multi_label_targets,
    refuse_other_separators,
    refuse_rows_of_bits,
)
from kft.data.sequences import Rows, as_rows, numeric
from kft.data.values import class_name, is_missing, is_number, kind_of
from kft.errors import InputError

__all__ = ["ReadTargets", "not_finite", "read_targets"]

_CHUNK = 1024
_MOST_CLASSES = 1_000_000  # that are made up of indices without names
_SOURCE = "arrays"

Targets = tuple[np.ndarray, tuple[str, ...] | None]


@dataclass(frozen=True)
class ReadTargets:
    """Labels that were looked at.

    Attributes:
        reasons: Index of each example whose label cannot be used, and why.
        of: The targets and classes of the examples at these indices, once it is known which are
            usable; None for all.
    """

    reasons: dict[int, str]
    of: Callable[[np.ndarray | None], Targets]


def read_targets(rows: Rows, task: str, classes: Sequence[str] | None) -> ReadTargets:
    """Read the labels of arrays.

    Args:
        rows: As `as_rows` returns them.
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        classes: The classes of the training, None to take those that occur.

    Raises:
        InputError: They have another shape or type than the task needs.
    """
    numbers, reasons = _numbers(rows)
    if task == "regression":
        return _regression(rows, numbers, reasons)
    if task == "multi_label":
        if numbers is None and _are_names(rows):
            return _several_names(rows, classes)
        return _rows_of_bits(rows, numbers, reasons, classes)
    if numbers is not None:
        numbers = _column(numbers)
        return ReadTargets(reasons, lambda kept: _of_indices(numbers, kept, classes))
    return _names(rows, classes)


def not_finite(array: np.ndarray, what: str) -> dict[int, str]:
    """Index of each row with a number that is not finite, to the reason."""
    if array.dtype.kind != "f":
        return {}
    found: dict[int, str] = {}
    for start in range(0, len(array), _CHUNK):  # in pieces: a memmap may be larger than the memory
        rows = array[start : start + _CHUNK].reshape(len(array[start : start + _CHUNK]), -1)
        for row in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
            found[start + int(row)] = f"{what} with NaN or infinity"
    return found


def _numbers(rows: Rows) -> tuple[np.ndarray | None, dict[int, str]]:
    """Rows of numbers with zeros in their gaps, and which have gaps; None if they are no numbers."""
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


def _regression(rows: Rows, numbers: np.ndarray | None, reasons: dict[int, str]) -> ReadTargets:
    if numbers is None or numbers.ndim > 2 or not numbers.size:
        raise InputError(
            f"y has {_held(rows, numbers)}, but regression needs numbers [n] or [n, d]"
        )
    with np.errstate(over="ignore"):
        targets = numbers.astype(np.float32)
    reasons = {**dict.fromkeys(not_finite(targets, ""), "target beyond float32"), **reasons}
    return ReadTargets(reasons, lambda kept: (_chosen(targets, kept), None))


def _rows_of_bits(
    rows: Rows,
    numbers: np.ndarray | None,
    reasons: dict[int, str],
    classes: Sequence[str] | None,
) -> ReadTargets:
    usable = None if numbers is None else np.delete(numbers, [*reasons], axis=0)
    if numbers is None or numbers.ndim != 2 or usable is None or not np.isin(usable, (0, 1)).all():
        raise InputError(
            f"y has {_held(rows, numbers)}, but multi-label targets are 0 and 1 in [n, classes], or "
            'lists of names: encode the labels so, or use task="single_label"'
        )
    count = numbers.shape[1]
    known = check_classes(
        [str(number) for number in range(count)] if classes is None else list(classes), _SOURCE
    )
    if len(known) != count:
        raise InputError(
            f"y has {count} columns, but there are {len(known)} classes: pass one column per class"
        )
    return ReadTargets(reasons, lambda kept: (_chosen(numbers, kept).astype(np.float32), known))


def _of_indices(
    y: np.ndarray, kept: np.ndarray | None, classes: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    places = np.arange(len(y)) if kept is None else kept
    y = _chosen(y, kept)
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        where = int(np.flatnonzero(y != np.round(y))[0])
        raise InputError(
            f"y[{places[where]}] is {y[where]}, but class indices are whole numbers: use "
            'task="regression" for numbers'
        )
    if classes is not None:
        y = _told_apart(y, classes)
    limit = int(y.max()) + 1 if classes is None else len(classes)
    outside = np.flatnonzero((y < 0) | (y >= min(limit, _MOST_CLASSES)))
    if outside.size:
        where = int(outside[0])
        said = f"0 to {limit - 1}, one for each of the {limit} classes"
        if limit > _MOST_CLASSES:
            said = f"0 to {_MOST_CLASSES - 1:,}"
        raise InputError(
            f"y[{places[where]}] is {int(y[where])}, but labels must lie in {said}: renumber the "
            "labels, for example by np.unique(y, return_inverse=True)"
        )
    indices = y.astype(np.int64)
    if classes is not None:
        return indices, tuple(classes)
    if len(np.unique(indices)) < 2:
        check_classes([str(indices[0])], _SOURCE)
    return indices, tuple(str(number) for number in range(limit))


def _told_apart(y: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Class indices of numbers, which mean classes of that name where they can mean nothing else.

    Numbers in a table are names: "10" comes before "2", and a scale may begin with "1".
    """
    named = {int(name): index for index, name in enumerate(classes) if _is_plain_number(name)}
    values = [int(value) for value in np.unique(y)]
    if not all(value in named for value in values):
        return y
    differing = [value for value in values if named[value] != value]
    if not differing:
        return y
    if not all(0 <= value < len(classes) for value in values):
        return np.array([named[int(value)] for value in y])
    value = differing[0]
    raise InputError(
        f"y has the class number {value}, which may be the class named {str(value)!r}, or the one at "
        f"position {value}, {classes[value]!r}: pass names, such as [str(n) for n in y] or "
        "[recipe.classes[n] for n in y]"
    )


def _is_plain_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 20 and str(int(name)) == name


def _names(rows: Rows, classes: Sequence[str] | None) -> ReadTargets:
    values = _listed(_column(rows)) if isinstance(rows, np.ndarray) else rows
    known = [index for index, value in enumerate(values) if not is_missing(value)]
    for index in known:
        if isinstance(values[index], list | tuple | set | frozenset | dict | np.ndarray):
            raise InputError(
                f"y[{index}] is {kind_of(values[index])}, but a single label is expected: use "
                'task="multi_label" where an example can have several'
            )
        if is_number(values[index]) != is_number(values[known[0]]):
            raise InputError(
                f"y[{known[0]}] is {kind_of(values[known[0]])} and y[{index}] is "
                f"{kind_of(values[index])}: pass names alone, or class indices alone"
            )
    found = [class_name(value) for value in values]
    reasons = {index: reason for index, (_, reason) in enumerate(found) if reason}

    def of(kept: np.ndarray | None) -> Targets:
        chosen = range(len(found)) if kept is None else kept
        names = [f"example {index}" for index in chosen]
        return class_targets([found[index][0] for index in chosen], names, _SOURCE, classes)

    return ReadTargets(reasons, of)


def _listed(array: np.ndarray) -> list[Any]:
    """The values of an array as Python's, but never a number for a moment in nanoseconds."""
    if array.dtype.kind not in "mM":
        return array.tolist()
    return [one if isinstance(one.item(), int) else one.item() for one in array]


def _are_names(rows: Rows) -> bool:
    """Whether labels are names, or lists of names."""
    for row in rows:
        if isinstance(row, str | bytes):
            return True
        if isinstance(row, list | tuple | set | frozenset | np.ndarray) and len(row):
            return not all(map(is_number, row))
    return False


def _several_names(rows: Rows, classes: Sequence[str] | None) -> ReadTargets:
    """Rows of names, or names in a string separated by `|`, as tables have them."""
    refuse_other_separators([row for row in rows if isinstance(row, str)], "y")
    found: list[list[str]] = []
    reasons: dict[int, str] = {}
    for index, row in enumerate(rows):
        names = []
        if isinstance(row, str | bytes):
            text, reason = class_name(row)
            names = [part for part in text.split(SEPARATOR) if part.strip()]
            reasons |= {} if reason in ("", "no label") else {index: reason}
        elif is_missing(row):
            reasons[index] = "no label"
        elif isinstance(row, set | frozenset):
            names = list(row)
        else:
            names = list(as_rows(row, f"y[{index}]"))
        read = [class_name(name) for name in names]
        if any(is_number(name) for name in names):
            reasons[index] = f"{kind_of(row)}, but several labels are names, or rows of 0 and 1"
        for _, reason in read:
            if reason:
                reasons.setdefault(index, reason)
        found.append([name for name, _ in read])
    way_out = "pass them as numbers, or write the names"
    lists = [names for row, names in zip(rows, found, strict=True) if not isinstance(row, str)]
    refuse_rows_of_bits(lists, "y", way_out)

    def of(kept: np.ndarray | None) -> Targets:
        chosen = range(len(found)) if kept is None else kept
        names = [f"example {index}" for index in chosen]
        return multi_label_targets([found[index] for index in chosen], names, _SOURCE, classes)

    return ReadTargets(reasons, of)


def _column(y: np.ndarray) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(
            f"y has shape {y.shape}, but single labels have shape ({len(y)},): pass "
            "y.argmax(axis=1) for one-hot rows, "
            'or task="multi_label" where an example can have several labels'
        )
    return y


def _chosen(array: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    return array if kept is None else array[kept]


def _held(rows: Rows, numbers: np.ndarray | None) -> str:
    if numbers is not None:
        return f"dtype {numbers.dtype} and shape {numbers.shape}"
    if isinstance(rows, np.ndarray):
        return f"dtype {rows.dtype} and shape {rows.shape}"
    return f"values such as {kind_of(next((row for row in rows if not is_missing(row)), None))}"
