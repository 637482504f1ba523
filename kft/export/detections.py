"""How far two answers with boxes are from each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kft.answers import Detections
from kft.answers.detected import overlap_of

__all__ = ["boxes_apart"]

_Set = tuple[np.ndarray, np.ndarray, np.ndarray]  # of an image: sides, scores and labels


def boxes_apart(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], rule: Detections
) -> float:
    """Return the largest distance of a box from the closest one of its label in the other answer.

    The distance is that of the side or the score that differs most. For a box that the other answer
    leaves out it is at most how far its score lies above the least one that is answered, or its overlap
    with a box of the other answer from the one above which a box is left out.

    Args:
        before: Name of an output to array.
        after: The same outputs of equal shapes.
        rule: Which outputs the boxes are.

    Returns:
        Infinite, if an answer contradicts itself, or only one has a bad row.
    """
    scores = before[rule.scores], after[rule.scores]
    bad = [np.isnan(one).any(axis=1) for one in scores]
    if not np.array_equal(*bad) or not all(_is_whole(one, rule) for one in (before, after)):
        return np.inf
    worst = 0.0
    for row in np.flatnonzero(~bad[0]):
        one, other = (_of_row(each, rule, int(row)) for each in (before, after))
        most = before[rule.scores].shape[1]
        worst = max(worst, _beyond(one, other, most, rule), _beyond(other, one, most, rule))
    return worst


def _is_whole(answer: Mapping[str, np.ndarray], rule: Detections) -> bool:
    """Whether there are as many boxes as an answer says, and nothing behind them."""
    scores, labels = answer[rule.scores], answer[rule.labels]
    good = ~np.isnan(scores).any(axis=1)
    is_box = np.arange(scores.shape[1]) < answer[rule.count][:, None]
    kept = np.array_equal((scores > 0)[good], is_box[good])
    return kept and np.array_equal((labels != b"")[good], is_box[good])


def _of_row(answer: Mapping[str, np.ndarray], rule: Detections, row: int) -> _Set:
    kept = slice(0, int(answer[rule.count][row]))
    sides, scores, labels = (answer[name][row][kept] for name in rule.names[:3])
    return sides.astype(np.float64), scores.astype(np.float64), labels


def _beyond(one: _Set, other: _Set, most: int, rule: Detections) -> float:
    """How far the box of the first set is from the second that is farthest from it."""
    sides, scores, labels = one
    if not len(scores):
        return 0.0
    least = max(rule.least, other[1].min() if len(other[1]) == most else rule.least)
    missing = np.maximum(scores - least, 0)
    if not len(other[1]):
        return float(missing.max())
    apart = np.abs(sides[:, None] - other[0][None]).max(axis=2)
    apart = np.maximum(apart, np.abs(scores[:, None] - other[1][None]))
    is_alike = labels[:, None] == other[2][None]
    apart = np.where(is_alike, apart, np.inf)
    shared = np.where(is_alike, overlap_of(sides, other[0]), -np.inf)
    missing = np.minimum(missing, np.abs(shared - rule.overlap).min(axis=1))
    return float(np.minimum(apart.min(axis=1), missing).max())
