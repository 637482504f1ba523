"""Predictions with a requested coverage: sets of classes and ranges of numbers.

Split conformal prediction (Angelopoulos and Bates 2021, https://arxiv.org/abs/2107.07511): the
distances between prediction and truth are measured on examples that were not trained on, and a new
answer includes everything within the quantile of these distances for the requested coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.tasks.predictions.base import plain
from kft.tasks.predictions.classes import BETWEEN, ClassPredictions
from kft.tasks.predictions.numbers import NumberPredictions

MOST = 2_000  # distances to keep; more would hardly change a quantile


def kept_distances(distances: np.ndarray, seed: int) -> list:
    """Return distances in increasing order, at most a random 2,000 of them, ready for JSON.

    Args:
        distances: The distances between prediction and truth, `[n]`, or `[n, d]` for d numbers.
        seed: The seed of the random choice.
    """
    found = np.asarray(distances, "float64")
    found = found[np.random.default_rng(seed).permutation(len(found))[:MOST]]
    return np.sort(found, axis=0).tolist()


def quantile(distances: Sequence, coverage: float) -> np.ndarray:
    """Return the distance within which the truth lies with at least this probability.

    That is number ceil((n + 1) * coverage) of the n sorted distances; infinite if n is smaller.

    Args:
        distances: The result of `kept_distances`.
        coverage: The probability, above 0 and below 1.
    """
    ordered = np.asarray(distances, "float64")
    place = math.ceil((len(ordered) + 1) * coverage)
    if place > len(ordered):
        return np.full(ordered.shape[1:], np.inf)
    return ordered[place - 1]


@dataclass(frozen=True, eq=False, repr=False)
class ClassSets(ClassPredictions):
    """The best class of each input, and a set of classes with the requested coverage.

    Args:
        inputs: As in `ClassPredictions`.
        scores: As in `ClassPredictions`.
        classes: As in `ClassPredictions`.
        limit: As in `ClassPredictions`.
        distance: How far below 1 the probability of a class in the set may be (Sadinle, Lei and
            Wasserman 2019, https://arxiv.org/abs/1609.00451).
    """

    distance: float = 1.0

    @property
    def sets(self) -> list[list[str]]:
        """The classes of each input, the most probable first; at least the best class."""
        names, scores = self._ranked(None)
        counts = np.maximum((1 - scores <= self.distance).sum(axis=1), 1)
        return [row[:count].tolist() for row, count in zip(names, counts, strict=True)]

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of `ClassPredictions`, and `set`, joined by `|`."""
        return super().columns() | {"set": [BETWEEN.join(one) for one in self.sets]}

    def to_dict(self) -> dict[str, list]:
        """Return the columns of `ClassPredictions`, and `set`, a list per input."""
        return super().to_dict() | {"set": self.sets}


@dataclass(frozen=True, eq=False, repr=False)
class NumberRanges(NumberPredictions):
    """Numbers, each with a range of the requested coverage.

    Args:
        inputs: As in `NumberPredictions`.
        scores: As in `NumberPredictions`.
        distance: The distance of both ends of the ranges from the numbers, `[d]`.
    """

    distance: np.ndarray | float = 0.0

    @property
    def ranges(self) -> np.ndarray:
        """Lower and upper ends, `(n, d, 2)`."""
        reach = np.broadcast_to(self.distance, self.scores.shape)
        return np.stack([self.scores - reach, self.scores + reach], axis=-1)

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of `NumberPredictions`, and `low` and `high`, or `low_1`, `high_1`, ..."""
        columns = super().columns()
        many = self.scores.shape[1] > 1
        for place in range(self.scores.shape[1]):
            for end, name in enumerate(("low", "high")):
                key = f"{name}_{place + 1}" if many else name
                columns[key] = plain(self.ranges[:, place, end])
        return columns

    def to_dict(self) -> dict[str, list]:
        """Return the columns of `NumberPredictions`, and `range`, ready for JSON."""
        return super().to_dict() | {"range": self.ranges.tolist()}
