"""Multi-label targets: any number of classes for each example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kft.data.gaps import filled_numbers
from kft.data.kinds.bit_columns import columns_of_bits
from kft.data.kinds.classes import (
    agreed_classes,
    check_classes,
    class_name,
    known_classes,
    label_name,
    places,
)
from kft.data.kinds.lists import (
    SEPARATOR,
    multi_label_targets,
    refuse_other_separators,
    refuse_rows_of_bits,
)
from kft.data.raw_labels import LabelForm, RawLabels, ReadTargets, Targets
from kft.data.sequences import Rows, as_rows
from kft.data.target_bounds import Bounds
from kft.data.targets import TargetKind
from kft.data.values import held, is_missing, is_number, kind_of
from kft.errors import InputError

__all__ = ["MultiLabels"]


@dataclass(frozen=True)
class MultiLabels(TargetKind):
    """Any number of classes for each example; its targets are 0 and 1, float32 `[n, classes]`."""

    name: ClassVar[str] = "multi_label"
    takes_columns: ClassVar[bool] = True

    @property
    def class_count(self) -> int | None:
        """The number of classes, None if the data decide."""
        return None

    def refusal(self, form: LabelForm) -> str:
        """Accept texts with `|` between names, lists of names or class numbers, and several columns."""
        if not form.alone:
            fits = not form.depth and form.content != "other"
            return (
                "" if fits else f"0 and 1 are expected in each of several columns: {form.way_out}"
            )
        is_list = form.depth == 1 and form.content in ("text", "integer")
        if is_list or (not form.depth and form.content == "text"):
            return ""
        if form.in_table:
            return f"lists of names are expected: {form.way_out}"
        return f"a Sequence of names or class numbers per example is expected: {form.way_out}"

    def targets(self, raw: Any, classes: Any = None) -> ReadTargets:
        """Convert lists of names, several columns, or arrays of 0 and 1 in memory, to rows of 0 and 1."""
        if len(raw.columns) > 1:
            return columns_of_bits(raw, classes)
        if raw.in_memory:
            numbers, reasons = filled_numbers(raw.values)
            if numbers is not None or not _are_names(raw.values):
                return _rows_of_bits(raw, numbers, reasons, classes)
        refuse_other_separators(
            [row for row in raw.values if isinstance(row, str)],
            raw.what if raw.in_memory else raw.source,
        )
        read = [_names(row, index, raw) for index, row in enumerate(raw.values)]
        found = [names for names, _ in read]
        _refuse_bits(found, raw)
        known = known_classes(raw, classes)

        def of(kept: np.ndarray | None) -> Targets:
            chosen = range(len(found)) if kept is None else kept
            labels = [found[int(index)] for index in chosen]
            return Targets(*multi_label_targets(labels, raw.chosen_names(kept), raw.source, known))

        reasons = {index: reason for index, (_, reason) in enumerate(read) if reason}
        return ReadTargets(reasons, of)

    def renumbered(self, rows: Any, old: Any, new: Any, source: str) -> Any:
        """Return rows of 0 and 1 with a column for each class of the training."""
        if old is None or old == new:
            return rows
        place = places(self.counts(rows, old), old, new, source)
        targets = np.zeros((len(rows), len(new)), dtype=np.float32)
        for column, name in enumerate(old):
            if name in new:
                targets[:, place[column]] = rows[:, column]
        return targets

    def strata(self, rows: Any) -> np.ndarray | None:
        """Return the rarest class of each example, and an extra number for those without any."""
        frequency = rows.sum(axis=0)
        rarest = np.where(rows > 0, frequency, np.inf).argmin(axis=1)
        return np.where((rows > 0).any(axis=1), rarest, rows.shape[1])

    def counts(self, rows: Any, classes: Any) -> dict[str, int]:
        """Return the number of examples with each class."""
        if classes is None:
            return {}
        numbers = (rows > 0).sum(axis=0)
        return {name: int(number) for name, number in zip(classes, numbers, strict=True)}

    def label(self, row: Any, classes: Any) -> str:
        """Return the names of an example's classes."""
        names = [str(n) for n in range(len(row))] if classes is None else classes
        return " | ".join(name for name, on in zip(names, row, strict=True) if on) or "none"

    def width_for(self, rows: Any, classes: Any) -> int | None:
        """Return the number of classes."""
        return None if classes is None else len(classes)

    def agreed_classes(self, classes: Any, source: str) -> tuple[str, ...] | None:
        """Return the class names, after checking their number against the task's."""
        return agreed_classes(classes, self.class_count, source)

    def soft(self, rows: Any, classes: Any) -> np.ndarray:
        """Return the rows unchanged: they can be mixed."""
        return rows

    def is_batch(self, targets: Any) -> bool | None:
        """Return True for two axes, since one example is a single row; None if undecided."""
        rank = targets.shape.rank
        if rank == 1 and targets.shape[0] is not None:
            return False
        return True if rank and rank > 1 else None

    def bounds(self, shape: tuple[int | None, ...], where: str) -> Bounds | None:
        """Return 0 to 1 for rows `[n, classes]`."""
        count = self.class_count
        if len(shape) == 2 and count is not None and shape[1] not in (None, count):
            raise InputError(
                f"targets of shape {shape} in {where}, but the recipe has {count} classes: pass "
                f"class numbers [n] or rows [n, {count}]"
            )
        return Bounds(0, 1, "target", "rows of targets lie from 0 to 1: encode the labels so")


def _names(row: Any, index: int, raw: RawLabels) -> tuple[list[str], str]:
    """Return the names of an example's classes, and why they are not valid (empty if they are)."""
    if is_missing(row):
        return [], raw.with_column("no label")
    if isinstance(row, str | bytes):
        text, reason = class_name(row, raw.encoding)
        if reason not in ("", "no label"):
            return [], raw.with_column(reason)
        parts: Any = [part for part in text.split(SEPARATOR) if part.strip()]
    elif isinstance(row, set | frozenset):
        parts = list(row)
    elif raw.in_memory:
        parts = list(as_rows(row, f"{raw.what}[{index}]"))
    else:  # TFDS writes an empty string where an example has no name
        parts = [part for part in row if not (isinstance(part, bytes) and not part)]
    read = [label_name(part, raw) for part in parts]
    reason = next((reason for _, reason in read if reason), "")
    if raw.in_memory and any(map(is_number, parts)):
        reason = f"{kind_of(row)}, but several labels are names, or rows of 0 and 1"
    return [name for name, _ in read], raw.with_column(reason) if reason else ""


def _refuse_bits(found: Sequence[Sequence[str]], raw: RawLabels) -> None:
    """Refuse rows of 0 and 1 that would be read as class names."""
    are_texts = [isinstance(row, str) for row in raw.values]
    lists = [names for names, is_text in zip(found, are_texts, strict=True) if not is_text]
    if raw.in_memory:
        refuse_rows_of_bits(lists, raw.what, "pass them as numbers, or write the names")
        return
    cells = [row.split(SEPARATOR) for row in raw.values if isinstance(row, str)]
    refuse_rows_of_bits(cells, raw.source)
    column = f"column {raw.columns[0]!r} of " if raw.columns else ""
    refuse_rows_of_bits(lists, f"{column}{raw.source}")


def _are_names(rows: Rows) -> bool:
    """Return whether labels are names, or lists of names."""
    for row in rows:
        if isinstance(row, str | bytes):
            return True
        if isinstance(row, list | tuple | set | frozenset | np.ndarray) and len(row):
            return not all(map(is_number, row))
    return False


def _rows_of_bits(
    raw: RawLabels,
    numbers: np.ndarray | None,
    reasons: dict[int, str],
    classes: Sequence[str] | None,
) -> ReadTargets:
    usable = None if numbers is None else np.delete(numbers, [*reasons], axis=0)
    if numbers is None or numbers.ndim != 2 or usable is None or not np.isin(usable, (0, 1)).all():
        raise InputError(
            f"{raw.what} has {held(raw.values, numbers)}, but multi-label targets are 0 and 1 in "
            '[n, classes], or lists of names: encode the labels so, or use task="single_label"'
        )
    count = numbers.shape[1]
    known = check_classes(
        [str(number) for number in range(count)] if classes is None else list(classes), raw.source
    )
    if len(known) != count:
        raise InputError(
            f"{raw.what} has {count} columns, but there are {len(known)} classes: pass one column "
            "per class"
        )
    rows = numbers.astype(np.float32)
    return ReadTargets(reasons, lambda kept: Targets(rows if kept is None else rows[kept], known))
