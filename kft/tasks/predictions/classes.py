"""Predictions of classifiers: one class per input, or any number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Self

import numpy as np

from kft.errors import InputError
from kft.tasks.predictions.base import Predictions, line, plain

BETWEEN = "|"  # separates labels, as in the tables that kft reads


@dataclass(frozen=True)
class Prediction:
    """The answer for one input.

    Attributes:
        label: The class; a tuple of classes for several labels; a number or a tuple of numbers for
            regression.
        score: The probability of the label; None for several labels and for regression.
        scores: Class to probability, the most probable first; empty for regression.
    """

    label: Any
    score: float | None
    scores: dict[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class ClassPredictions(Predictions):
    """One class per input, with its probability.

    Args:
        inputs: The name of each input in the table.
        scores: The outputs of the model, `(n, classes)`.
        classes: Names of the columns of `scores`.
        limit: How many of the most probable classes tables and files show per input, see `top`.
            Defaults to the answer only.
    """

    scores: np.ndarray
    classes: Sequence[str]
    limit: int | None = None

    @property
    def labels(self) -> list[Any]:
        """The label of each input, see `Prediction`."""
        return [prediction.label for prediction in self]

    @property
    def class_count(self) -> int:
        """The number of classes that `top` can show."""
        return len(self.classes)

    def top(self, k: int) -> Self:
        """Return the same answers, with the `k` most probable classes in tables and files.

        Args:
            k: The number of classes, from 1 to all of them.

        Raises:
            InputError: If there are fewer classes.
        """
        if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= len(self.classes):
            raise InputError(
                f"`top({k!r})`: there are {len(self.classes)} classes; pass 1 to "
                f"{len(self.classes)}."
            )
        return replace(self, limit=int(k))

    def columns(self) -> dict[str, list[Any]]:
        """Return `input`, `label` and `probability`.

        After `top(k)` the columns are `label_1`, `probability_1` to `label_k`, `probability_k`.
        """
        columns: dict[str, list[Any]] = {"input": list(self.inputs)}
        names, scores = self._ranked(self.limit or 1)
        for place in range(names.shape[1]):
            ending = "" if self.limit is None else f"_{place + 1}"
            columns[f"label{ending}"] = names[:, place].tolist()
            columns[f"probability{ending}"] = plain(scores[:, place])
        return columns

    def to_dict(self) -> dict[str, list]:
        """Return columns `input`, `label` and `scores`, ready for JSON."""
        scores = [prediction.scores for prediction in self]
        return {"input": list(self.inputs), "label": self.labels, "scores": scores}

    def _at(self, index: int) -> Prediction:
        row = self.scores[index]
        order = np.argsort(-row, kind="stable")
        scores = {self.classes[i]: float(row[i]) for i in order[: self.limit]}
        return self._answer(row, order, scores)

    def _answer(self, row: np.ndarray, order: np.ndarray, scores: dict[str, float]) -> Prediction:
        best = self.classes[order[0]]
        return Prediction(best, scores[best], scores)

    def _ranked(self, count: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Return names and scores of the most probable classes of each input, ties in class order."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        names = np.array(self.classes, dtype=object)[order]
        return names, np.take_along_axis(self.scores, order, axis=1)


@dataclass(frozen=True, eq=False, repr=False)
class LabelPredictions(ClassPredictions):
    """Any number of labels per input, with their probabilities.

    Args:
        inputs: As in `ClassPredictions`.
        scores: As in `ClassPredictions`.
        classes: As in `ClassPredictions`.
        limit: As in `ClassPredictions`. Defaults to all labels that reach the threshold.
        threshold: The lowest score at which a class is one of the labels.
    """

    threshold: float = 0.5

    def columns(self) -> dict[str, list[Any]]:
        """Return `input`, and `label` and `probability`, each joined by `|`.

        After `top(k)` the columns are `label_1`, `probability_1` to `label_k`, `probability_k`.
        """
        if self.limit is not None:
            return super().columns()
        names, scores = self._ranked(None)
        counts = (scores >= self.threshold).sum(axis=1)
        rows = list(zip(names, map(plain, scores), counts, strict=True))
        return {
            "input": list(self.inputs),
            "label": [BETWEEN.join(some[:count]) for some, _, count in rows],
            "probability": [BETWEEN.join(map(str, some[:count])) for _, some, count in rows],
        }

    def shown(self, column: str, value: Any) -> str:
        """Return a cell of the printed table."""
        if column == "probability":
            return line(BETWEEN.join(f"{float(one):.4f}" for one in value.split(BETWEEN) if one))
        return super().shown(column, value)

    def _answer(self, row: np.ndarray, order: np.ndarray, scores: dict[str, float]) -> Prediction:
        label = tuple(self.classes[i] for i in order if row[i] >= self.threshold)
        return Prediction(label, None, scores)
