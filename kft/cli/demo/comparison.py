"""The figures of the demo, and a summary of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SCRATCH, LINEAR, FIT = "from scratch", "linear model", "recipe.fit(data)"
WAYS = (SCRATCH, LINEAR, FIT)


@dataclass
class Comparison:
    """Test accuracies of three ways of learning, by number of examples and seed.

    Args:
        test: Number of test pictures.
        reached: Accuracies by way, examples of each digit, and seed.
    """

    test: int
    reached: dict[tuple[str, int, int], float] = field(default_factory=dict)

    def add(self, way: str, examples: int, seed: int, accuracy: float) -> None:
        """Record an accuracy on the test pictures."""
        self.reached[way, examples, seed] = accuracy

    @property
    def sizes(self) -> list[int]:
        """The numbers of examples of each digit, in their order."""
        return list(dict.fromkeys(examples for _, examples, _ in self.reached))

    @property
    def seeds(self) -> list[int]:
        """The seeds, in their order."""
        return list(dict.fromkeys(seed for *_, seed in self.reached))

    def accuracies(self, way: str, examples: int) -> np.ndarray:
        """Return the accuracies of a way with a number of examples, one per seed."""
        return np.array([self.reached[way, examples, seed] for seed in self.seeds])

    def rows(self) -> Iterator[tuple[int, str, np.ndarray]]:
        """Yield number of examples, way and accuracies, one per seed."""
        for examples in self.sizes:
            for way in WAYS:
                yield examples, way, self.accuracies(way, examples)

    def verdict(self) -> str:
        """Return a sentence for each number of examples that compares `fit` with the other ways."""
        return " ".join(self._verdict(examples) for examples in self.sizes)

    def _verdict(self, examples: int) -> str:
        ours = self.accuracies(FIT, examples)
        parts = []
        for other in (LINEAR, SCRATCH):
            gains = (ours - self.accuracies(other, examples)) * 100
            won = int((gains > 0).sum())
            name = {LINEAR: "the linear model", SCRATCH: "training from scratch"}[other]
            if len(gains) == 1:
                parts.append(f"{_points(gains[0])} {name}")
                continue
            parts.append(
                f"better than {name} {won} of {len(gains)} times ({np.mean(gains):+.1f} points on average, "
                f"{gains.min():+.1f} to {gains.max():+.1f})"
            )
        return f"With {examples} of each digit, {FIT} was {', and '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "test_pictures": self.test,
            "seeds": self.seeds,
            "accuracy": [
                {"examples": examples, "way": way, "by_seed": values.tolist()}
                for examples, way, values in self.rows()
            ],
        }

    @classmethod
    def from_dict(cls, figures: dict[str, Any]) -> Comparison:
        """Restore what `to_dict` returned."""
        made = cls(figures["test_pictures"])
        for row in figures["accuracy"]:
            for seed, accuracy in zip(figures["seeds"], row["by_seed"], strict=True):
                made.add(row["way"], row["examples"], seed, accuracy)
        return made


def _points(gain: float) -> str:
    """Return how far one accuracy is from another, in words."""
    if round(gain, 1) == 0:
        return "level with"
    return f"{abs(gain):.1f} points {'above' if gain > 0 else 'below'}"
