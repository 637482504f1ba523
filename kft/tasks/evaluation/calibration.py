"""Calibration: whether predictions with 80 % confidence are right 80 % of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """One bar of a reliability diagram: the predictions with a confidence in `(lower, upper]`.

    Attributes:
        lower: Lower edge, exclusive (the first bin includes 0).
        upper: Upper edge, inclusive.
        count: Number of predictions in the bin.
        confidence: Their mean confidence; None if the bin is empty.
        accuracy: The fraction of them that is right; None if the bin is empty.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


class Reliability:
    """Count predictions in bins of equal width by their confidence, batch by batch.

    Args:
        bins: Number of bins.
    """

    def __init__(self, bins: int = BINS) -> None:
        self._edges = np.linspace(0.0, 1.0, bins + 1)
        self._counts = np.zeros(bins, np.int64)
        self._confidence, self._correct = np.zeros(bins), np.zeros(bins)

    def add(self, confidence: np.ndarray, correct: np.ndarray) -> None:
        """Add predictions.

        Args:
            confidence: The probability of each prediction according to the model, in 0..1, `[n]`.
            correct: Whether each prediction is right, `[n]`.
        """
        place = np.searchsorted(self._edges[1:-1], confidence, side="left")
        for i in range(len(self._counts)):
            inside = place == i
            self._counts[i] += inside.sum()
            self._confidence[i] += confidence[inside].sum()
            self._correct[i] += correct[inside].sum()

    def bins(self) -> tuple[ReliabilityBin, ...]:
        """Return the bins in order of increasing confidence, including empty ones."""
        return tuple(
            ReliabilityBin(
                lower=float(self._edges[i]),
                upper=float(self._edges[i + 1]),
                count=int(count),
                confidence=float(self._confidence[i] / count) if count else None,
                accuracy=float(self._correct[i] / count) if count else None,
            )
            for i, count in enumerate(self._counts)
        )


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean gap between confidence and accuracy over the bins, weighted by their counts.

    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, equation 3
    (https://arxiv.org/abs/1706.04599). 0 is perfect, 1 the worst.
    """
    total = sum(one.count for one in bins)
    gaps = [
        one.count * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    ]
    return sum(gaps) / total
