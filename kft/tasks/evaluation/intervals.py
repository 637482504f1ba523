"""Where a fraction lies, of which a sample has been seen."""

from __future__ import annotations

import math

__all__ = ["score_interval"]

_Z = 1.959963984540054  # of 95 %


def score_interval(fraction: float, draws: float) -> tuple[float, float]:
    """Return the interval in which a fraction lies with 95 % confidence.

    Wilson: Probable Inference, the Law of Succession, and Statistical Inference, 1927.

    Args:
        fraction: What was seen, from 0 to 1.
        draws: In how many independent draws.
    """
    p, n = fraction, draws
    middle = (p + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    half = _Z / (1 + _Z * _Z / n) * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
