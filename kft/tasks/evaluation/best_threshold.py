"""The threshold of scores with the best F1, from counts in bounded memory."""

from __future__ import annotations

import math

import numpy as np

USUAL = 0.5  # the threshold of a label that is more likely than not
_BINS = 1000  # of equal width, from 0 to 1


class ThresholdSearch:
    """Find a threshold of scores, from which on a label is assigned, by the F1 of all decisions together.

    With few examples, the threshold with the best F1 among them is mostly chance. So each decision counts
    twice: once with its target, and once with its score, which says how often such a decision is right if
    scores are calibrated. For calibrated scores alone, the best threshold is half of the best F1 (Lipton et
    al. 2014, https://arxiv.org/abs/1402.1892). Of all thresholds whose F1 is within a standard error of the
    best, the one nearest to 0.5 is chosen, since F1 hardly changes over a wide range in which other figures
    do.
    """

    def __init__(self) -> None:
        self._decisions, self._hits, self._promised = (np.zeros(_BINS) for _ in range(3))

    def add(self, scores: np.ndarray, there: np.ndarray) -> None:
        """Add decisions.

        Args:
            scores: Probabilities, of any shape.
            there: Whether the label is there, of the same shape.
        """
        flat = scores.ravel()
        at = np.minimum((flat * _BINS).astype(np.int64), _BINS - 1)
        self._decisions += np.bincount(at, minlength=_BINS)
        self._hits += np.bincount(at, there.ravel(), _BINS)
        self._promised += np.bincount(at, flat, _BINS)

    def best(self) -> float | None:
        """Return the threshold, above 0 and below 1; None if no label is there, or all of them are."""
        if self._hits.sum() in (0, self._decisions.sum()):
            return None
        right = _from_above(self._hits + self._promised) / 2
        answers, there = _from_above(self._decisions), right[0]
        f1 = 2 * right / (answers + there)
        at = int(f1[1:].argmax()) + 1
        near = np.flatnonzero(f1[1:] >= f1[at] - _error(f1[at], right[at], answers[at] + there)) + 1
        return float(near[np.abs(near - USUAL * _BINS).argmin()] / _BINS)


def _error(f1: float, right: float, counted: float) -> float:
    """Return the standard error of an F1, as if decisions were independent.

    Args:
        f1: The F1.
        right: The number of labels that were rightly assigned.
        counted: The number of labels that are there, and of those that were assigned.
    """
    wrong = counted - 2 * right
    return math.sqrt(right * (2 - 2 * f1) ** 2 + wrong * f1**2) / counted


def _from_above(counts: np.ndarray) -> np.ndarray:
    """Return the sum of each count and those behind it."""
    return np.cumsum(counts[::-1])[::-1]
