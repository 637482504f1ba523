"""Single-label targets: one class for each example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kft.arguments import shortened, shown
from kft.data.gaps import filled_numbers
from kft.data.kinds.classes import (
    agreed_classes,
    check_classes,
    class_targets,
    known_classes,
    label_name,
    places,
)
from kft.data.raw_labels import LabelForm, RawLabels, ReadTargets, Targets
from kft.data.target_bounds import Bounds
from kft.data.targets import TargetKind
from kft.data.values import is_missing, is_number, kind_of
from kft.errors import InputError

__all__ = ["SingleLabels"]

_MOST_CLASSES = 1_000_000  # for class indices without names


@dataclass(frozen=True)
class SingleLabels(TargetKind):
    """One class for each example, as class numbers, int64 `[n]`.

    Labels in memory are class numbers or names; in files and tables a number is a name.
    """

    name: ClassVar[str] = "single_label"
    takes_folders: ClassVar[bool] = True

    @property
    def class_count(self) -> int | None:
        """The number of classes, None if the data decide."""
        return None

    def refusal(self, form: LabelForm) -> str:
        """Accept names and numbers, one for each example."""
        if not form.depth and form.content != "other":
            return ""
        if not form.in_table:
            return f"one name or class number per example is expected: {form.way_out}"
        way_out = form.way_out
        if form.depth == 1 and form.content in ("text", "integer"):
            way_out = 'use task="multi_label" for several labels'
        return f"names or whole numbers are expected: {way_out}"

    def targets(self, raw: Any, classes: Any = None) -> ReadTargets:
        """Convert names, or class numbers in memory, to class numbers."""
        if raw.in_memory:
            numbers, reasons = filled_numbers(raw.values)
            if numbers is not None:
                column = _column(numbers, raw.what)
                return ReadTargets(reasons, lambda kept: _of_indices(column, kept, classes, raw))
        values = raw.values
        if isinstance(values, np.ndarray):
            values = _listed(_column(values, raw.what))
        if raw.in_memory:
            _refuse_mixed(values, raw.what)
        found = [label_name(value, raw) for value in values]
        reasons = {n: raw.with_column(reason) for n, (_, reason) in enumerate(found) if reason}
        known = known_classes(raw, classes)

        def of(kept: np.ndarray | None) -> Targets:
            chosen = range(len(found)) if kept is None else kept
            labels = [found[int(index)][0] for index in chosen]
            return Targets(*class_targets(labels, raw.chosen_names(kept), raw.source, known))

        return ReadTargets(reasons, of)

    def renumbered(self, rows: Any, old: Any, new: Any, source: str) -> Any:
        """Return class numbers, renumbered by the classes of the training."""
        if old is None or old == new:
            return rows
        return places(self.counts(rows, old), old, new, source)[rows]

    def strata(self, rows: Any) -> np.ndarray | None:
        """Return the class numbers."""
        return rows

    def stratum_name(self, stratum: int, classes: Any) -> str | None:
        """Return the name of a class; both parts of a split must have examples of it."""
        return None if classes is None else f"class {classes[stratum]!r}"

    def balanced(self, rows: Any) -> np.ndarray | None:
        """Return the class numbers."""
        return rows

    def counts(self, rows: Any, classes: Any) -> dict[str, int]:
        """Return the number of examples of each class."""
        if classes is None:
            return {}
        numbers = np.bincount(rows, minlength=len(classes))
        return {name: int(number) for name, number in zip(classes, numbers, strict=True)}

    def label(self, row: Any, classes: Any) -> str:
        """Return the name of an example's class."""
        return str(int(row)) if classes is None else classes[int(row)]

    def width_for(self, rows: Any, classes: Any) -> int | None:
        """Return the number of classes."""
        return None if classes is None else len(classes)

    def agreed_classes(self, classes: Any, source: str) -> tuple[str, ...] | None:
        """Return the class names, after checking their number against the task's."""
        return agreed_classes(classes, self.class_count, source)

    def soft(self, rows: Any, classes: Any) -> np.ndarray:
        """Return one-hot rows, float32 `[n, classes]`."""
        return np.eye(len(classes), dtype=np.float32)[rows]

    def is_batch(self, targets: Any) -> bool | None:
        """Return whether targets have an axis, since one example has a single number."""
        return targets.shape.rank != 0

    def bounds(self, shape: tuple[int | None, ...], where: str) -> Bounds | None:
        """Return the range of class numbers `[n]`, or 0 to 1 for rows `[n, classes]`."""
        count = self.class_count
        if len(shape) == 2 and count is not None and shape[1] not in (None, 1, count):
            raise InputError(
                f"targets of shape {shape} in {where}, but the recipe has {count} classes: pass "
                f"class numbers [n] or rows [n, {count}]"
            )
        if len(shape) > 1 and shape[-1] != 1:
            return Bounds(0, 1, "target", "rows of targets lie from 0 to 1: encode the labels so")
        if count is None:
            return Bounds(0, math.inf, "label", "labels are class numbers from 0: renumber them")
        return Bounds(
            0,
            count - 1,
            "label",
            f"labels must lie in 0 to {count - 1}, one for each of the {count} classes: renumber "
            "the labels, leave out examples without a class, or build the recipe with more classes",
        )


def _column(y: np.ndarray, what: str) -> np.ndarray:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(
            f"{what} has shape {y.shape}, but single labels have shape ({len(y)},): pass "
            f"{what}.argmax(axis=1) for one-hot rows, "
            'or task="multi_label" where an example can have several labels'
        )
    return y


def _of_indices(
    numbers: np.ndarray, kept: np.ndarray | None, classes: Sequence[str] | None, raw: RawLabels
) -> Targets:
    places_of = np.arange(len(numbers)) if kept is None else kept
    y = numbers if kept is None else numbers[kept]
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        where = int(np.flatnonzero(y != np.round(y))[0])
        raise InputError(
            f"{raw.what}[{places_of[where]}] is {y[where]}, but class indices are whole numbers: use "
            'task="regression" for numbers'
        )
    if classes is not None:
        y = _indices_or_names(y, classes, raw.what)
    limit = int(y.max()) + 1 if classes is None else len(classes)
    outside = np.flatnonzero((y < 0) | (y >= min(limit, _MOST_CLASSES)))
    if outside.size:
        where = int(outside[0])
        allowed = f"0 to {limit - 1}, one for each of the {limit} classes"
        if limit > _MOST_CLASSES:
            allowed = f"0 to {_MOST_CLASSES - 1:,}"
        raise InputError(
            f"{raw.what}[{places_of[where]}] is {shortened(str(int(y[where])))}, but labels must lie in {allowed}: "
            f"renumber the labels, for example by np.unique({raw.what}, return_inverse=True)"
        )
    indices = y.astype(np.int64)
    if classes is not None:
        return Targets(indices, tuple(classes))
    if len(np.unique(indices)) < 2:
        check_classes([str(indices[0])], raw.source)
    return Targets(indices, tuple(str(number) for number in range(limit)))


def _indices_or_names(y: np.ndarray, classes: Sequence[str], what: str) -> np.ndarray:
    """Return class indices for numbers, which are read as class names if they cannot be indices.

    Tables turn numbers into names: "10" sorts before "2", and a scale may begin with "1".
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
        f"{what} has the class number {value}, which may be the class named {str(value)!r}, or the "
        f"one at position {value}, {shown(classes[value])}: pass names, such as [str(n) for n in {what}] "
        f"or [recipe.classes[n] for n in {what}]"
    )


def _is_plain_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 20 and str(int(name)) == name


def _listed(array: np.ndarray) -> list[Any]:
    """Return the values as Python objects; times in nanoseconds stay NumPy's, not integers."""
    if array.dtype.kind not in "mM":
        return array.tolist()
    return [one if isinstance(one.item(), int) else one.item() for one in array]


def _refuse_mixed(values: Sequence[Any], what: str) -> None:
    """Refuse several labels for one example, and a mixture of names and numbers."""
    known = [index for index, value in enumerate(values) if not is_missing(value)]
    for index in known:
        if isinstance(values[index], list | tuple | set | frozenset | dict | np.ndarray):
            raise InputError(
                f"{what}[{index}] is {kind_of(values[index])}, but a single label is expected: use "
                'task="multi_label" where an example can have several'
            )
        if is_number(values[index]) != is_number(values[known[0]]):
            raise InputError(
                f"{what}[{known[0]}] is {kind_of(values[known[0]])} and {what}[{index}] is "
                f"{kind_of(values[index])}: pass names alone, or class indices alone"
            )
