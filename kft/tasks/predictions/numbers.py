"""Predictions of regression: one or more numbers per input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.tasks.predictions.base import Predictions, plain
from kft.tasks.predictions.classes import Prediction


@dataclass(frozen=True, eq=False, repr=False)
class NumberPredictions(Predictions):
    """Predicted numbers, in the unit of the targets.

    Args:
        inputs: The name of each input in the table.
        scores: The outputs of the model, `(n, values)`.
    """

    scores: np.ndarray

    @property
    def labels(self) -> list[Any]:
        """The number of each input, or a tuple of several."""
        return [prediction.label for prediction in self]

    def columns(self) -> dict[str, list[Any]]:
        """Return `input` and `value`, or `value_1`, `value_2`, ... for several numbers."""
        columns: dict[str, list[Any]] = {"input": list(self.inputs)}
        many = self.scores.shape[1] > 1
        for place, values in enumerate(self.scores.T, start=1):
            columns[f"value_{place}" if many else "value"] = plain(values)
        return columns

    def to_dict(self) -> dict[str, list]:
        """Return columns `input` and `label`, ready for JSON."""
        return {"input": list(self.inputs), "label": self.labels}

    def _at(self, index: int) -> Prediction:
        values = tuple(float(value) for value in self.scores[index])
        return Prediction(values[0] if len(values) == 1 else values, None, {})
