"""A ratio of two sums over texts, such as F1, with its interval, in memory that does not grow."""

from __future__ import annotations

import math

from kft.tasks.evaluation.intervals import Z_OF_95, score_interval

__all__ = ["Ratio"]


class Ratio:
    """The sum of one number over the sum of another, each text adding to both.

    The variance is that of a ratio estimator (Cochran: Sampling Techniques, 1977, chapter 6), so that
    words of one text do not count as if they were drawn one by one.
    """

    def __init__(self) -> None:
        self._above = self._below = 0.0
        self._squares = [0.0, 0.0, 0.0]  # of the first, of both, of the second
        self._texts = 0

    def add(self, above: float, below: float) -> None:
        """Add a text's numbers."""
        self._texts += 1
        self._above += above
        self._below += below
        for place, value in enumerate((above * above, above * below, below * below)):
            self._squares[place] += value

    @property
    def value(self) -> float | None:
        """The ratio; None where the second sum is 0."""
        return self._above / self._below if self._below else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the ratio of endless such data lies with 95 % confidence; None without a ratio.

        Wilson's score interval for as many draws as have the variance of the texts. Where that is 0,
        since all is right or wrong, each unit of the second sum counts as a draw.
        """
        p = self.value
        if p is None:
            return None
        variance = self._variance(p)
        n = min(p * (1 - p) / variance, self._below) if variance > 0 else self._below
        return score_interval(p, n or self._below)

    @property
    def normal_interval(self) -> tuple[float, float] | None:
        """The same for a ratio that is no fraction, such as nats per token; None for a single text."""
        ratio = self.value
        if ratio is None or self._texts < 2:
            return None
        spread = self._variance(ratio) * self._texts / (self._texts - 1)
        half = Z_OF_95 * math.sqrt(max(spread, 0.0))
        return ratio - half, ratio + half

    def _variance(self, ratio: float) -> float:
        above, both, below = self._squares
        return (above - 2 * ratio * both + ratio * ratio * below) / self._below**2
