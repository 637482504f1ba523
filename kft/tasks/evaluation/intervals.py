"""Confidence intervals of fractions, and of figures that were drawn again."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["Z_OF_95", "drawn_interval", "score_interval"]

Z_OF_95 = 1.959963984540054  # standard deviations of a normal distribution on each side


def score_interval(fraction: float, draws: float) -> tuple[float, float]:
    """Return the 95 % confidence interval of a fraction.

    Wilson: Probable Inference, the Law of Succession, and Statistical Inference, 1927.

    Args:
        fraction: The observed fraction, from 0 to 1.
        draws: The number of independent draws.
    """
    p, n = fraction, draws
    middle = (p + Z_OF_95 * Z_OF_95 / (2 * n)) / (1 + Z_OF_95 * Z_OF_95 / n)
    half = (
        Z_OF_95
        / (1 + Z_OF_95 * Z_OF_95 / n)
        * math.sqrt(p * (1 - p) / n + Z_OF_95 * Z_OF_95 / (4 * n * n))
    )
    return max(0.0, middle - half), min(1.0, middle + half)


def drawn_interval(draws: np.ndarray) -> tuple[float, float]:
    """Return the central 95 % of the values of a figure over draws of the data, `[draws]` (bootstrap)."""
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
