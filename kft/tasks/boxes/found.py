"""Boxes as read from a file or from memory, before they are checked against their image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.arguments import is_number, is_whole, lacks_axes, shown
from kft.data.gaps import not_finite
from kft.data.sequences import numeric
from kft.data.values import is_missing, kind_of
from kft.errors import InputError

__all__ = ["FoundBoxes", "number_in_file", "of_memory"]

_FORMS = (
    "an array [boxes, 5] of left, top, right, bottom and class number, or {'boxes': [[left, top, right, "
    "bottom], ...], 'labels': [...]}"
)


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """The boxes of an image.

    Args:
        boxes: Left, top, right and bottom, float64 `[m, 4]`.
        labels: The class name or number of each box.
        ignored: The indices of ignored boxes, such as crowds.
        size: Height and width of the image according to the file; None if it has none.
        are_fractions: Whether coordinates are fractions of the width and height, not pixels.
    """

    boxes: np.ndarray
    labels: tuple[str | int, ...]
    ignored: frozenset[int] = frozenset()
    size: tuple[int, int] | None = None
    are_fractions: bool = False

    def fractions(self, size: tuple[int, int] | None) -> np.ndarray:
        """Return the boxes as fractions of the image, float32 `[m, 4]`.

        Args:
            size: Height and width of the image; None if they are not known.

        Raises:
            InputError: If the file states another size, or a box is empty, inverted or outside.
        """
        if size is not None and self.size is not None and size != self.size:
            raise InputError(
                f"its boxes are for {shown(self.size[1])} x {shown(self.size[0])} pixels, but the image has "
                f"{size[1]} x {size[0]}, upright as its EXIF orientation says: make them equal"
            )
        height, width = size or self.size or (0, 0)
        if not height or not width:
            raise InputError("its width and height are not known")
        ends = np.array([width, height, width, height], np.float64)
        for number, box in enumerate(self.boxes * ends if self.are_fractions else self.boxes, 1):
            self._check(number, box, ends)
        boxes = self.boxes if self.are_fractions else self.boxes / ends
        return np.clip(boxes, 0, 1).astype(np.float32).reshape(-1, 4)

    def _check(self, number: int, box: np.ndarray, ends: np.ndarray) -> None:
        """Check a box in pixels; up to one pixel outside counts as rounding, and is clipped later."""
        named = f"box {number}, from ({box[0]:g}, {box[1]:g}) to ({box[2]:g}, {box[3]:g}),"
        if not np.isfinite(box).all():
            raise InputError(f"{named} has a coordinate that is not a finite number")
        if (box[2:] < box[:2]).any():
            raise InputError(f"{named} is inverted: left and top come first")
        inside = np.clip(box, 0, ends)
        if (np.abs(inside - box) > 1).any():
            raise InputError(
                f"{named} lies outside of the image of {ends[0]:g} x {ends[1]:g} pixels"
            )
        if (inside[2:] <= inside[:2]).any():
            raise InputError(f"{named} is empty")


def of_memory(value: Any) -> FoundBoxes:
    """Return the boxes of an image that were passed as arrays.

    Args:
        value: An array `[m, 5]` of left, top, right, bottom and class number, or an empty list; or a
            mapping with `boxes` `[m, 4]` and `labels`, names or numbers.

    Raises:
        InputError: If it is something else.
    """
    if is_missing(value):
        raise InputError(f"no boxes: pass an empty list for an image without any, or {_FORMS}")
    if isinstance(value, Mapping):
        if not {"boxes", "labels"} <= set(value):
            raise InputError(f"a dict of {', '.join(map(repr, value))}: expected {_FORMS}")
        boxes, labels = _numbers(value["boxes"], 4), _listed(value["labels"])
        if len(labels) != len(boxes):
            raise InputError(f"{len(boxes)} boxes with {len(labels)} labels: pass one for each")
        return FoundBoxes(boxes, tuple(map(_label, labels)))
    rows = _numbers(value, 5)
    return FoundBoxes(rows[:, :4], tuple(map(_label, rows[:, 4].tolist())))


def _listed(labels: Any) -> list[Any]:
    is_list = isinstance(labels, Iterable) and not lacks_axes(labels)
    if not is_list or isinstance(labels, str | bytes | Mapping | Set):
        raise InputError(
            f"its labels are {kind_of(labels)}: pass a list with the name or number of each box"
        )
    return list(labels)


def number_in_file(text: str) -> float:
    """Return the number that a text states, without what Python alone accepts, such as 1_000.

    Raises:
        ValueError: If it is no number.
    """
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)


def _numbers(values: Any, width: int) -> np.ndarray:
    if isinstance(values, Sequence) and not isinstance(values, str | bytes) and not len(values):
        return np.zeros((0, width))
    array = numeric([values])
    if array is None or array.ndim != 3 or (array.shape[2] != width and array.size):
        named = kind_of(values) if array is None else f"an array of the shape {array.shape[1:]}"
        raise InputError(f"its boxes are {named}: expected {_FORMS}")
    if not_finite(array, "") and width == 5 and not np.isfinite(array[0, :, 4]).all():
        raise InputError("a class number is not a finite number")
    return array[0].astype(np.float64).reshape(-1, width)


def _label(value: Any) -> str | int:
    if isinstance(value, str):
        return value
    if is_number(value) and is_whole(int(value), 0) and int(value) == value:
        return int(value)
    raise InputError(f"the class {shown(value)}: a name or a whole number from 0 is expected")
