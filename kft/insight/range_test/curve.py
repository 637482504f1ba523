"""The loss against the rate: smoothed, where it diverges, and what it suggests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# What the loss has to fall by, as a part of the first, before anything is suggested.
LEAST_FALL = 0.01


@dataclass(frozen=True)
class Suggestions:
    """Learning rates read off a curve; None where the loss never fell.

    Attributes:
        valley: The middle, on the logarithmic axis, of the way down: between where a tenth of the
            fall is done and where nine tenths are.
        steepest: Where the loss falls fastest; the boldest of the three by most curves.
        minimum: A tenth of the rate with the lowest loss, where training is about to fail.
    """

    valley: float | None
    steepest: float | None
    minimum: float | None


def running(losses: Sequence[float], smoothing: float) -> np.ndarray:
    """Exponentially weighted averages, each of the losses up to it and without bias to the first."""
    average, weight, found = 0.0, 0.0, []
    for loss in losses:
        average = smoothing * average + (1 - smoothing) * loss
        weight = smoothing * weight + (1 - smoothing)
        found.append(average / weight)
    return np.array(found)


def smooth(losses: Sequence[float], smoothing: float) -> np.ndarray:
    """Losses averaged in both directions, so that the curve does not lag behind the rates.

    What lies further above the first losses than the lowest lies below them is cut off first: a
    loss that has diverged would lift the curve where it has not.
    """
    values = np.asarray(losses, dtype=float)
    first = np.median(values[: max(1, len(values) // 10)])
    values = np.minimum(values, 2 * first - values.min())
    place = np.arange(len(values))
    weights = smoothing ** np.abs(place[:, None] - place)
    return weights @ values / weights.sum(axis=1)


def has_diverged(losses: Sequence[float], smoothing: float, divergence: float) -> bool:
    """Whether the last loss is no number, or the running average has risen far above its lowest."""
    if not np.isfinite(losses[-1]):
        return True
    averages = running(losses, smoothing)
    best = averages.min()
    unit = max(abs(best), averages[0] - best)
    return bool(averages[-1] - best > (divergence - 1) * unit)


def suggest(rates: np.ndarray, smoothed: np.ndarray) -> Suggestions:
    """Reads the suggestions off a smoothed curve.

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
    end = int(np.flatnonzero(done >= 0.9)[0])  # a second valley further up is none to aim at
    begin = int(np.flatnonzero(done[:end] <= 0.1)[-1])
    slopes = np.gradient(smoothed[: low + 1])[begin : end + 1]
    return Suggestions(
        valley=float(np.sqrt(rates[begin] * rates[end])),
        steepest=float(rates[begin + slopes.argmin()]),
        minimum=float(rates[low] / 10),
    )
