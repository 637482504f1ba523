"""Ratios of two sums over texts, such as F1, with their intervals, in constant memory."""

from __future__ import annotations

import math

from kft.tasks.evaluation.intervals import Z_OF_95, score_interval

__all__ = ["Ratio"]


class Ratio:
    """The ratio of two sums, to both of which each text contributes.

    The variance is that of a ratio estimator (Cochran: Sampling Techniques, 1977, chapter 6), since
    the words of a text are not independent draws.
    """

    def __init__(self) -> None:
        self._above = self._below = 0.0
        self._squares = [0.0, 0.0, 0.0]  # of above², above x below and below²
        self._texts = 0

    def add(self, above: float, below: float) -> None:
        """Add the two numbers of a text."""
        self._texts += 1
        self._above += above
        self._below += below
        for place, value in enumerate((above * above, above * below, below * below)):
            self._squares[place] += value

    @property
    def value(self) -> float | None:
        """The ratio; None if the second sum is 0."""
        return self._above / self._below if self._below else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the ratio; None without a ratio.

        Wilson's score interval for the number of draws that have the variance of the texts. If that
        is 0, since all is right or wrong, each unit of the second sum counts as a draw.
        """
        p = self.value
        if p is None:
            return None
        variance = self._variance(p)
        n = min(p * (1 - p) / variance, self._below) if variance > 0 else self._below
        return score_interval(p, n or self._below)

    @property
    def normal_interval(self) -> tuple[float, float] | None:
        """The same for ratios that are not fractions, such as nats per token; None for a single text."""
        ratio = self.value
        if ratio is None or self._texts < 2:
            return None
        spread = self._variance(ratio) * self._texts / (self._texts - 1)
        half = Z_OF_95 * math.sqrt(max(spread, 0.0))
        return ratio - half, ratio + half

    def _variance(self, ratio: float) -> float:
        above, both, below = self._squares
        return (above - 2 * ratio * both + ratio * ratio * below) / self._below**2
