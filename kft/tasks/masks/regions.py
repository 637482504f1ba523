"""Regions of COCO annotations, and the pixels that they cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kft.arguments import is_number, is_whole, shown
from kft.errors import InputError

__all__ = ["Polygon", "Runs", "region_of"]

_AT_ONCE = 2**20  # pairs of pixel rows and edges that are compared together
_FARTHEST = 10**6  # pixels; floats further out lose precision below a pixel
_MOST_DIGITS = 6  # per run in COCO's compressed form, which is 30 bits


class Polygon:
    """The pixels whose centre is inside a polygon, by the even-odd rule.

    Args:
        points: Its corners `[n, 2]`, x and y in pixels; pixel i extends from i to i + 1.
    """

    def __init__(self, points: np.ndarray) -> None:
        self._points = points

    def paint(self, mask: np.ndarray, number: int) -> None:
        """Set the covered pixels to a class number."""
        height, width = mask.shape
        x, y = self._points.T
        first = int(np.clip(np.ceil(y.min() - 0.5), 0, height))
        last = int(np.clip(np.floor(y.max() - 0.5) + 1, 0, height))
        if last <= first:
            return
        next_x, next_y = np.roll(x, -1), np.roll(y, -1)
        toggles = np.zeros((last - first, width + 1), np.int32)
        each = max(1, _AT_ONCE // len(x))
        for begin in range(first, last, each):
            rows = np.arange(begin, min(begin + each, last))
            middles = rows[:, None] + 0.5
            row, edge = np.nonzero((y <= middles) != (next_y <= middles))
            part = (middles[row, 0] - y[edge]) / (next_y[edge] - y[edge])
            at = np.ceil(x[edge] + part * (next_x[edge] - x[edge]) - 0.5)
            columns = np.clip(at, 0, width).astype(np.int64)
            np.add.at(toggles, (row + begin - first, columns), 1)
        inside = np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1
        mask[first:last][inside] = number


class Runs:
    """A run-length encoding: runs of pixels alternately outside and inside, column by column.

    Args:
        counts: The number of pixels in each run.
    """

    def __init__(self, counts: np.ndarray) -> None:
        self._counts = counts

    def paint(self, mask: np.ndarray, number: int) -> None:
        """Set the covered pixels to a class number."""
        inside = np.repeat(np.arange(len(self._counts)) % 2 == 1, self._counts)
        mask[inside.reshape(mask.shape[::-1]).T] = number


def region_of(segmentation: Any, size: tuple[int, int]) -> list[Polygon | Runs]:
    """Return the parts of an annotation's region.

    Args:
        segmentation: Polygons `[[x1, y1, x2, y2, ...], ...]`, or runs `{"size": [height, width],
            "counts": ...}`, whose counts are a list of numbers or COCO's compressed text.
        size: Height and width of the image.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(segmentation, Mapping):
        return [_runs(segmentation, size)]
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError(
            f"its segmentation is {shown(segmentation)}, but polygons or runs are expected: a box alone "
            "does not say which pixels belong to a class"
        )
    return [_polygon(one) for one in segmentation]


def _polygon(values: Any) -> Polygon:
    if not isinstance(values, list) or len(values) < 6 or len(values) % 2:
        got = f"{len(values)} numbers" if isinstance(values, list) else shown(values)
        raise InputError(
            f"a polygon of {got}, but x and y of at least three corners are expected, as in [x1, y1, x2, "
            "y2, x3, y3]"
        )
    wrong = next((one for one in values if not is_number(one) or abs(one) > _FARTHEST), None)
    if wrong is not None:
        raise InputError(
            f"a polygon with the coordinate {shown(wrong)}: a finite number is expected, of at most "
            f"{_FARTHEST:,}"
        )
    return Polygon(np.array(values, np.float64).reshape(-1, 2))


def _runs(given: Mapping[str, Any], size: tuple[int, int]) -> Runs:
    counts = given.get("counts")
    if given.get("size") != list(size):
        raise InputError(
            f"runs of the size {shown(given.get('size'))}, but its image has the height and width {list(size)}"
        )
    if isinstance(counts, str):
        counts = _decompressed(counts)
    if not isinstance(counts, list) or not all(is_whole(one, 0) for one in counts):
        raise InputError(
            "runs whose `counts` are no list of whole numbers from 0, nor COCO's text of them"
        )
    if sum(counts) != size[0] * size[1]:
        raise InputError(
            f"runs of {sum(counts):,} pixels together, but the image has {size[0] * size[1]:,}"
        )
    return Runs(np.array(counts, np.int64))


def _decompressed(text: str) -> Sequence[int] | None:
    """Decode COCO's compressed runs; None if the text is not in that form.

    Each letter has five bits, lowest first; from the fourth on, numbers are differences to the number
    two before.
    """
    counts: list[int] = []
    value = digits = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or digits == _MOST_DIGITS:
            return None
        value |= (code & 31) << 5 * digits
        digits += 1
        if code & 32:
            continue
        if code & 16:
            value -= 1 << 5 * digits
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = digits = 0
    return None if digits else counts
