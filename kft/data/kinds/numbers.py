"""Regression targets: one or several numbers for each example."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kft.data.gaps import filled_numbers, not_finite
from kft.data.raw_labels import LabelForm, RawLabels, ReadTargets, Targets
from kft.data.target_bounds import Bounds
from kft.data.targets import TargetKind
from kft.data.values import held, is_missing, is_number, kind_of
from kft.errors import InputError

__all__ = ["Numbers"]

_LARGEST = float(np.finfo(np.float32).max)
_BINS = 10  # strata of a split, by the ranks of the numbers
_FEWEST_OF_A_BIN = 5


@dataclass(frozen=True)
class Numbers(TargetKind):
    """Numbers in the unit of the labels, as float32 targets `[n]` or `[n, d]`."""

    name: ClassVar[str] = "regression"
    takes_columns: ClassVar[bool] = True

    def refusal(self, form: LabelForm) -> str:
        """Accept numbers, lists of numbers from TFDS, and numbers as text from a table."""
        is_number = form.content in ("integer", "number")
        if form.in_table and not form.depth and (is_number or form.content == "text"):
            return ""
        if not form.in_table and is_number and form.depth <= 1:
            return ""
        each = "" if form.in_table else " per example"
        return f"numbers{each} are expected: {form.way_out}"

    def targets(self, raw: Any, classes: Any = None) -> ReadTargets:
        """Convert numbers, which a table may hold as text, to float32."""
        if raw.in_memory:
            return _of_arrays(raw)
        read = [_read(row, raw) for row in raw.values]

        def of(kept: np.ndarray | None) -> Targets:
            chosen = range(len(read)) if kept is None else kept
            rows = [read[int(index)][0] for index in chosen]
            shapes = {np.shape(row) for row in rows}
            if len(shapes) > 1:
                raise InputError(
                    f"{raw.source} has labels of {len(shapes)} lengths, but one is expected"
                )
            return Targets(np.array(rows, dtype=np.float32))

        reasons = {index: reason for index, (_, reason) in enumerate(read) if reason}
        return ReadTargets(reasons, of)

    def strata(self, rows: Any) -> np.ndarray | None:
        """Return the bin of each number, or of the first of several, by its rank; ten bins at most."""
        values = rows.reshape(len(rows), -1)[:, 0]
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        bins = max(1, min(_BINS, len(values) // _FEWEST_OF_A_BIN))
        return ranks * bins // max(1, len(values))

    def describe(self, rows: Any, classes: Any) -> dict[str, Any]:
        """Return the range and the mean of the numbers."""
        values = {"least": np.min(rows), "mean": np.mean(rows), "most": np.max(rows)}
        return {"counts": None, "values": {name: float(one) for name, one in values.items()}}

    def label(self, row: Any, classes: Any) -> str:
        """Return an example's numbers."""
        return " ".join(f"{value:.4g}" for value in np.atleast_1d(row))

    def width_for(self, rows: Any, classes: Any) -> int | None:
        """Return the number of values per example."""
        return None if rows is None else int(np.prod(rows.shape[1:]))

    def agreed_classes(self, classes: Any, source: str) -> None:
        """Refuse any classes, since numbers have none."""
        if classes is not None:
            raise InputError(f"{source}: `task={self.name!r}` has no classes; leave them out.")

    def soft(self, rows: Any, classes: Any) -> np.ndarray:
        """Return the numbers unchanged: they can be mixed."""
        return rows

    def is_batch(self, targets: Any) -> bool | None:
        """Return True for two axes, since one example has at most one; None if undecided."""
        rank = targets.shape.rank
        if rank == 1 and targets.shape[0] is not None:
            return False
        return True if rank and rank > 1 else None

    def bounds(self, shape: tuple[int | None, ...], where: str) -> Bounds | None:
        """Return the range of float32."""
        allowed = "finite numbers of float32 are expected: leave such examples out"
        return Bounds(-_LARGEST, _LARGEST, "target", allowed)


def _of_arrays(raw: RawLabels) -> ReadTargets:
    numbers, reasons = filled_numbers(raw.values)
    if numbers is None or numbers.ndim > 2 or not numbers.size:
        raise InputError(
            f"{raw.what} has {held(raw.values, numbers)}, but regression needs numbers [n] or [n, d]"
        )
    with np.errstate(over="ignore"):
        rows = numbers.astype(np.float32)
    reasons = {**dict.fromkeys(not_finite(rows, ""), "target beyond float32"), **reasons}
    return ReadTargets(reasons, lambda kept: Targets(rows if kept is None else rows[kept]))


def _read(row: Any, raw: RawLabels) -> tuple[Any, str]:
    """Return one or several numbers, and why they are not valid (empty if they are)."""
    if len(raw.columns) > 1:
        read = [_of_cell(value, column) for value, column in zip(row, raw.columns, strict=True)]
        return [number for number, _ in read], next((reason for _, reason in read if reason), "")
    if raw.columns:
        return _of_cell(row, raw.columns[0])
    numbers = np.asarray(row)
    if numbers.dtype.kind not in "biuf" or numbers.ndim > 1:
        return None, "a label that is not a number"
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    return numbers, "" if np.isfinite(numbers).all() else "a label that is not a finite number"


def _of_cell(value: Any, column: str) -> tuple[float, str]:
    """Return the number in a table's cell; NaN and the reason if it is not valid."""
    where = f"in column {column!r}, where regression needs"
    if is_missing(value) or value == "":
        return math.nan, f"no value {where} a number"
    if isinstance(value, str):
        try:
            number = float(value.replace("_", "no"))  # Python reads 1_000 as a thousand
        except ValueError:
            point = " with a decimal point" if "," in value else ""
            return math.nan, f"{value[:40]!r} {where} a number{point}"
    elif is_number(value):
        number = float(value)
    else:
        return math.nan, f"{kind_of(value)} {where} a number"
    if not abs(number) <= _LARGEST:
        return math.nan, f"{str(value)[:40]} {where} a finite number of float32"
    return number, ""
