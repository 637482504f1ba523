"""Conversion of boxes that were read to targets: checked, numbered, and padded per batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.arguments import shown
from kft.data.names import checked_names, clean
from kft.data.raw_labels import RawLabels, ReadTargets, Targets
from kft.errors import InputError
from kft.tasks.boxes.found import FoundBoxes, of_memory
from kft.tasks.masks.files import sizes_of

__all__ = ["NOTHING", "batch_of", "box_targets", "classes_of", "counted"]

NOTHING = -1  # the class of padding; an ignored box of class c has -2 - c

_SHOWN = 5  # classes that a description of an image lists


def box_targets(raw: RawLabels, classes: Sequence[str] | None, most: int) -> ReadTargets:
    """Return boxes as rows: arrays float32 `[m, 5]` of left, top, right, bottom and class number.

    The coordinates are fractions of the image. An ignored box of class c has the number -2 - c.

    Args:
        raw: Labels that are `FoundBoxes`, or what `of_memory` takes.
        classes: The classes; None for the names in the data, sorted, or the numbers up to the largest.
        most: Maximum number of boxes per image.
    """
    sizes = [None] * len(raw.values) if raw.inputs is None else sizes_of(raw.inputs)
    known = classes or raw.numbered
    numbers = None if known is None else {name: place for place, name in enumerate(known)}
    looked: list[tuple[np.ndarray, tuple[str | int, ...], frozenset[int]] | None] = []
    reasons: dict[int, str] = {}
    for place, value in enumerate(raw.values):
        try:
            found = value if isinstance(value, FoundBoxes) else of_memory(value)
            if len(found.labels) > most:
                raise InputError(
                    f"it has {len(found.labels):,} boxes, but at most {most:,} are taken: pass "
                    "max_boxes=... to the task"
                )
            labels = tuple(clean(one) if isinstance(one, str) else one for one in found.labels)
            _check_known(labels, numbers)
            looked.append((found.fractions(sizes[place]), labels, found.ignored))
        except InputError as error:
            looked.append(None)
            reasons[place] = raw.with_column(str(error))

    def of(kept: np.ndarray | None) -> Targets:
        chosen = [looked[n] for n in (range(len(looked)) if kept is None else kept.tolist())]
        found = {name for one in chosen if one for name in one[1]}
        names = tuple(known) if known else _names(found, raw.source)
        places: dict[str | int, int] = {name: place for place, name in enumerate(names)}
        rows = np.empty(len(chosen), object)
        for row, one in enumerate(chosen):
            rows[row] = np.zeros((0, 5), np.float32) if one is None else _row(*one, places)
        if not any((row[:, 4] >= 0).any() for row in rows):
            raise InputError(
                f"no image of {raw.source} has a box that counts, so that nothing can be learnt or compared"
            )
        return Targets(rows, names)

    return ReadTargets(reasons, of)


def batch_of(rows: Sequence[np.ndarray], most: int) -> np.ndarray:
    """Return the boxes of a batch, float32 `[n, most, 5]`, padded with the class -1."""
    padded = np.zeros((len(rows), most, 5), np.float32)
    padded[..., 4] = NOTHING
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return padded


def classes_of(row: np.ndarray) -> np.ndarray:
    """Return the class numbers of the boxes that count, int64."""
    return row[row[:, 4] >= 0, 4].astype(np.int64)


def counted(numbers: np.ndarray, classes: Sequence[str]) -> str:
    """Return the number of boxes of each class as text, most frequent class first."""
    counts = np.bincount(numbers, minlength=len(classes))
    order = [n for n in np.argsort(-counts, kind="stable")[:_SHOWN] if counts[n]]
    return ", ".join(f"{counts[n]} {classes[n]}" for n in order) or "nothing"


def _row(
    boxes: np.ndarray,
    labels: Sequence[str | int],
    ignored: frozenset[int],
    places: dict[str | int, int],
) -> np.ndarray:
    numbers = [one if isinstance(one, int) else places[one] for one in labels]
    kinds = [-2 - one if place in ignored else one for place, one in enumerate(numbers)]
    return np.concatenate([boxes, np.reshape(kinds, (-1, 1))], 1).astype(np.float32)


def _check_known(labels: Sequence[str | int], numbers: dict[str, int] | None) -> None:
    """Raise an error if a class is unknown."""
    if numbers is None:
        return
    for one in labels:
        if (one not in numbers) if isinstance(one, str) else one >= len(numbers):
            what = "class number" if isinstance(one, int) else "class"
            raise InputError(
                f"a box has the {what} {shown(one)}, but the classes are {shown(tuple(numbers))}"
            )


def _names(found: set[str | int], source: str) -> tuple[str, ...]:
    """Return the classes of data that do not list them."""
    words = sorted(one for one in found if isinstance(one, str))
    numbers = [one for one in found if isinstance(one, int)]
    if words and numbers:
        raise InputError(
            f"{source} has classes by name, such as {words[0]!r}, and by number, such as {numbers[0]}: "
            "pass one of both"
        )
    if max(numbers, default=0) >= 2**15:
        raise InputError(f"{source} has the class number {max(numbers):,}: number classes from 0")
    counted = tuple(map(str, range(max(numbers, default=-1) + 1)))
    return checked_names(words, source) if words else counted
