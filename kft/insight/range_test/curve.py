"""The loss as a function of the rate: smoothing, divergence, and suggested rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The least fall of the loss, as a fraction of the first loss, for a suggestion.
LEAST_FALL = 0.01


@dataclass(frozen=True)
class Suggestions:
    """Suggested learning rates; None if the loss never fell.

    Attributes:
        valley: The middle of the descent on the logarithmic axis, between a tenth and nine tenths of
            the fall.
        steepest: Where the loss falls fastest; on most curves the highest of the three.
        minimum: A tenth of the rate with the lowest loss, where training is about to diverge.
    """

    valley: float | None
    steepest: float | None
    minimum: float | None


def running_averages(losses: Sequence[float], smoothing: float) -> np.ndarray:
    """Return exponentially weighted running averages, with correction of the initial bias."""
    average, weight, found = 0.0, 0.0, []
    for loss in losses:
        average = smoothing * average + (1 - smoothing) * loss
        weight = smoothing * weight + (1 - smoothing)
        found.append(average / weight)
    return np.array(found)


def smooth(losses: Sequence[float], smoothing: float) -> np.ndarray:
    """Average losses in both directions, so that the curve does not lag behind the rates.

    Losses are first clipped as far above the initial ones as the lowest is below them: otherwise a
    diverged loss would lift the curve before it diverged.
    """
    values = np.asarray(losses, dtype=float)
    first = np.median(values[: max(1, len(values) // 10)])
    values = np.minimum(values, 2 * first - values.min())
    place = np.arange(len(values))
    weights = smoothing ** np.abs(place[:, None] - place)
    return weights @ values / weights.sum(axis=1)


def has_diverged(losses: Sequence[float], smoothing: float, divergence: float) -> bool:
    """Return whether the last loss is not finite, or the running average is far above its lowest."""
    if not np.isfinite(losses[-1]):
        return True
    averages = running_averages(losses, smoothing)
    best = averages.min()
    unit = max(abs(best), averages[0] - best)
    return bool(averages[-1] - best > (divergence - 1) * unit)


def suggest(rates: np.ndarray, smoothed: np.ndarray) -> Suggestions:
    """Return the suggestions for a smoothed curve.

    Args:
        rates: The rates, rising by a constant factor.
        smoothed: The smoothed loss at each.
    """
    low = int(smoothed.argmin())
    top = smoothed[: low + 1].max()
    fall = top - smoothed[low]
    if low == 0 or fall < LEAST_FALL * abs(smoothed[0]):
        return Suggestions(None, None, None)
    done = (top - smoothed[: low + 1]) / fall
    end = int(np.flatnonzero(done >= 0.9)[0])  # a second valley at higher rates is not a target
    begin = int(np.flatnonzero(done[:end] <= 0.1)[-1])
    slopes = np.gradient(smoothed[: low + 1])[begin : end + 1]
    return Suggestions(
        valley=float(np.sqrt(rates[begin] * rates[end])),
        steepest=float(rates[begin + slopes.argmin()]),
        minimum=float(rates[low] / 10),
    )
