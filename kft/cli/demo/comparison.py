"""The figures of the demo, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WAYS = ("from scratch", "head only", "stages")


@dataclass
class Comparison:
    """Test accuracies of three ways to train, by way and seed.

    Args:
        examples: Examples of each digit that were learned from.
        test: Number of test pictures.
    """

    examples: int
    test: int
    curves: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    def add(self, way: str, seed: int, history: Mapping[str, Sequence[Any]]) -> None:
        """Take over the test accuracy by epoch."""
        self.curves[way, seed] = [float(value) for value in history["val_accuracy"]]

    @property
    def seeds(self) -> list[int]:
        """The seeds, in their order."""
        return list(dict.fromkeys(seed for _, seed in self.curves))

    def accuracy(self, way: str, seed: int) -> float:
        """What the trained model reached, in its last epoch."""
        return self.curves[way, seed][-1]

    def rows(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each way with its accuracies, one a seed."""
        for way in WAYS:
            yield way, np.array([self.accuracy(way, seed) for seed in self.seeds])

    def mean_curve(self, way: str) -> np.ndarray:
        """Accuracy by epoch, averaged over the seeds."""
        return np.mean([self.curves[way, seed] for seed in self.seeds], axis=0)

    def verdict(self) -> str:
        """Say in words what stages did compared with the others, whatever it is."""
        reached = dict(self.rows())
        parts = []
        for other in ("from scratch", "head only"):
            gains = (reached["stages"] - reached[other]) * 100
            won = int((gains > 0).sum())
            parts.append(
                f"{won} of {len(gains)} times above {other} ({np.mean(gains):+.1f} points on "
                f"average, {gains.min():+.1f} to {gains.max():+.1f})"
            )
        return f"Stages came out {', and '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {
            "examples_per_digit": self.examples,
            "test_pictures": self.test,
            "seeds": self.seeds,
            "accuracy": {way: values.tolist() for way, values in self.rows()},
            "curves": {
                way: {str(seed): self.curves[way, seed] for seed in self.seeds} for way in WAYS
            },
        }
