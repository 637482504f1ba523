"""Average precision of boxes as COCO defines it, in bounded memory."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from kft.answers.detected import overlap_of
from kft.tasks.evaluation.intervals import drawn_interval

__all__ = ["AP75", "THRESHOLDS", "AveragePrecision", "matched"]

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of the overlap (IoU) with a box in the data
AP75 = 5  # the index of an overlap of 0.75 among the thresholds
DRAWS = 100  # of images, for the intervals
_AT_ONCE = 2**22  # numbers of all draws that are computed together
_RECALLS = np.linspace(0, 1, 101)
_MOST_ROWS = 2**20  # kept exactly; with more, scores are rounded
_STEPS = 4096  # per unit of rounded scores
_BITS = 1 << np.arange(len(THRESHOLDS))


class AveragePrecision:
    """Collect predicted boxes and their matches, and compute the average precision of each class.

    The numbers equal those of COCO's own code (https://github.com/cocodataset/cocoapi): precision is
    the best at this recall or a higher one, averaged over 101 recalls. Up to about a million boxes are
    kept exactly; with more, scores are rounded to 1/4096, and rows that become equal are merged. Then
    there are no intervals.

    Args:
        classes: The number of classes.
        most_rows: How many boxes are kept exactly. Defaults to about a million.
    """

    def __init__(self, classes: int, most_rows: int = _MOST_ROWS) -> None:
        self._most = most_rows
        self._truths = np.zeros(classes, np.int64)
        self._boxes: list[np.ndarray] = []  # the class of each box of each image
        self._kept = [np.zeros((0, 5), np.int64)]  # class, right, ignored, count, image
        self._scores = [np.zeros(0, np.float32)]
        self._rows = 0
        self._rounded = False

    def add(self, answers: np.ndarray, truths: np.ndarray) -> None:
        """Add the boxes of an image.

        Args:
            answers: Predicted boxes, scores and class numbers `[m, 6]`, the best first.
            truths: Boxes in the data and class numbers `[k, 5]`; ignored boxes have -2 - the class.
        """
        kinds = truths[:, 4].astype(np.int64)
        self._truths += np.bincount(kinds[kinds >= 0], minlength=len(self._truths))
        image = np.full(len(answers), len(self._boxes), np.int64)
        if not self._rounded:
            self._boxes.append(kinds[kinds >= 0].astype(np.int32))
        right, ignored, _ = matched(answers, truths)
        columns = [answers[:, 5].astype(np.int64), right @ _BITS, ignored @ _BITS]
        self._kept.append(np.stack([*columns, np.ones(len(answers), np.int64), image], axis=1))
        self._scores.append(answers[:, 4].astype(np.float32))
        self._rows += len(answers)
        if max(self._rows, len(self._boxes)) > self._most:
            self._round()

    def values(self) -> np.ndarray:
        """Return the average precision `[classes, thresholds]`; NaN for a class without boxes."""
        return self._values(self._truths[:, None], lambda rows, _: rows[:, 3:4])[..., 0]

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the central 95 % of AP, AP50 and AP75 over draws of the images (bootstrap).

        Each image has a Poisson weight in each draw. Empty if no class has boxes, or for more than about
        a million predicted boxes.
        """
        if self._rounded or not self._truths.any():
            return {}
        weights = np.random.default_rng(0).poisson(1.0, (len(self._boxes), DRAWS)).astype(np.uint8)
        boxes, each = np.concatenate(self._boxes), list(map(len, self._boxes))
        of_draws = (np.repeat(one, each) for one in weights.T)
        truths = np.stack([np.bincount(boxes, one, len(self._truths)) for one in of_draws], axis=1)
        values = self._values(truths, lambda rows, draws: weights[np.ix_(rows[:, 4], draws)])
        usable = truths.any(axis=0)
        each = np.nanmean(values[..., usable], axis=0)  # [thresholds, draws]
        found = {"mean_ap": each.mean(axis=0), "ap50": each[0], "ap75": each[AP75]}
        return {name: drawn_interval(draws) for name, draws in found.items()}

    def _values(
        self, truths: np.ndarray, counts: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return the average precision `[classes, thresholds, draws]`; NaN without boxes in a draw.

        Args:
            truths: The number of boxes of each class in each draw, `[classes, draws]`.
            counts: Returns how often rows count in some draws, `[rows, draws]`, given both.
        """
        rows, scores = np.concatenate(self._kept), np.concatenate(self._scores)
        rows = rows[np.argsort(-scores, kind="stable")]
        found = np.full((len(truths), len(THRESHOLDS), truths.shape[1]), np.nan)
        for kind in np.flatnonzero(self._truths):
            own = rows[rows[:, 0] == kind]
            for place, bit in enumerate(_BITS):
                counted = own[(own[:, 2] & bit) == 0]
                is_right = (counted[:, 1] & bit) > 0
                of_rows = functools.partial(counts, counted)
                found[kind, place] = _averages(is_right, of_rows, truths[kind])
        return found

    def _round(self) -> None:
        """Round the scores, and merge rows that become equal."""
        rows, scores = np.concatenate(self._kept), np.concatenate(self._scores)
        steps = np.round(scores.astype(np.float64) * _STEPS).astype(np.int64)
        keys, place = np.unique(np.column_stack([steps, rows[:, :3]]), axis=0, return_inverse=True)
        counts = np.bincount(place.ravel(), weights=rows[:, 3]).astype(np.int64)
        self._kept = [np.column_stack([keys[:, 1:], counts, np.zeros_like(counts)])]
        self._rounded, self._boxes = True, []
        self._scores = [(keys[:, 0] / _STEPS).astype(np.float32)]
        self._rows = len(keys)
        self._most = max(self._most, 2 * self._rows)


def matched(answers: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which answers are right, which are ignored, and which boxes are found, at each threshold.

    Each answer, the best first, is matched to the free box of its class with the largest overlap, if
    that reaches the threshold. An unmatched answer is ignored if as large a part of it lies in an
    ignored box.

    Args:
        answers: As for `AveragePrecision.add`.
        truths: As for `AveragePrecision.add`.

    Returns:
        Three boolean arrays, two `[m, thresholds]` and one `[k, thresholds]`.
    """
    right = np.zeros((len(answers), len(THRESHOLDS)), bool)
    ignored, found = np.zeros_like(right), np.zeros((len(truths), len(THRESHOLDS)), bool)
    levels = np.minimum(THRESHOLDS, 1 - 1e-10)
    for kind in np.unique(answers[:, 5]):
        mine = np.flatnonzero(answers[:, 5] == kind)
        boxes = answers[mine, :4].astype(np.float64)
        of_kind = np.flatnonzero(truths[:, 4] == kind)
        real = truths[of_kind, :4].astype(np.float64)
        crowd = truths[truths[:, 4] == -2 - kind, :4].astype(np.float64)
        shared, free = overlap_of(boxes, real), np.ones((len(THRESHOLDS), len(real)), bool)
        inside = _inside(boxes, crowd)
        for row, place in enumerate(mine):
            if len(real):
                usable = np.where(free & (shared[row] >= levels[:, None]), shared[row], -1.0)
                best = len(real) - 1 - np.argmax(usable[:, ::-1], axis=1)
                taken = np.flatnonzero(usable.max(axis=1) >= 0)
                right[place, taken] = True
                free[taken, best[taken]] = False
                found[of_kind[best[taken]], taken] = True
            ignored[place] = ~right[place] & (inside[row] >= levels)
    return right, ignored, found


def _inside(boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Return the largest fraction of each box that lies in one ignored box, `[m]`."""
    low = np.maximum(boxes[:, None, :2], crowd[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], crowd[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), -1)
    areas = np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], -1), 1e-12)
    return np.max(shared / areas[:, None], axis=1, initial=0.0)


def _averages(
    is_right: np.ndarray, counts: Callable[[np.ndarray], np.ndarray], truths: np.ndarray
) -> np.ndarray:
    """Return the mean precision over 101 recalls in each draw; NaN in a draw without boxes.

    Args:
        is_right: Whether each answer is right, the best first, `[m]`.
        counts: Returns how often each counts in some draws, `[m, draws]`.
        truths: The number of boxes in each draw.
    """
    found = np.where(truths > 0, 0.0, np.nan)
    if not len(is_right):
        return found
    draws = np.flatnonzero(truths)
    for some in np.array_split(draws, -(-len(is_right) * len(draws) // _AT_ONCE) or 1):
        each = counts(some)
        all_ = np.cumsum(each, axis=0)
        right = np.cumsum(each * is_right[:, None], axis=0)
        precision = right / np.maximum(all_, 1)
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        for column, draw in enumerate(some):
            recall = right[:, column] / truths[draw]
            places = np.searchsorted(recall, _RECALLS, side="left")
            reached = places < len(precision)
            chosen = precision[np.minimum(places, len(precision) - 1), column]
            found[draw] = np.where(reached, chosen, 0).mean()
    return found
