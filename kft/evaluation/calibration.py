"""Whether a confidence of 80 % is right 80 % of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """One bar of a reliability diagram: the predictions with a confidence in `(lower, upper]`.

    Attributes:
        lower: Lower edge, not included (the first bin includes 0).
        upper: Upper edge, included.
        count: Number of predictions in the bin.
        confidence: Their mean confidence, None when there are none.
        accuracy: The fraction of them that is right, None when there are none.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


def reliability_bins(
    confidence: np.ndarray, correct: np.ndarray, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """Sort predictions into `bins` bins of equal width by their confidence.

    Args:
        confidence: Probability the model gave to its own prediction, in 0..1, `[n]`.
        correct: Whether that prediction was right, `[n]`.
        bins: Number of bins.

    Returns:
        The bins from the least to the most confident, empty ones included.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    found = []
    for i in range(bins):
        inside = place == i
        count = int(inside.sum())
        found.append(
            ReliabilityBin(
                lower=float(edges[i]),
                upper=float(edges[i + 1]),
                count=count,
                confidence=float(confidence[inside].mean()) if count else None,
                accuracy=float(correct[inside].mean()) if count else None,
            )
        )
    return tuple(found)


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean gap between confidence and accuracy over the bins, weighted by their predictions.

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
