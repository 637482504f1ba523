"""What a model says about raw inputs: labels and probabilities, as a value and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """The answer for one input.

    Attributes:
        label: The class; for several labels a tuple of classes, for regression a number, or a tuple
            of numbers.
        score: The probability of the label; None for several labels and for regression.
        scores: Class to probability, most probable first; empty for regression.
    """

    label: Any
    score: float | None
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Predictions(Sequence):
    """The answers for a list of inputs, in their order; prints as a table.

    Args:
        task: `"single_label"`, `"multi_label"` or `"regression"`.
        inputs: What to call each input in the table.
        scores: What the model said, `(n, classes)`.
        classes: Names of the columns of `scores`, None for regression.
        threshold: Score from which on a class is one of several labels.
    """

    task: str
    inputs: Sequence[str]
    scores: np.ndarray
    classes: tuple[str, ...] | None = None
    threshold: float = 0.5

    @property
    def labels(self) -> list[Any]:
        """The label of each input, see `Prediction`."""
        return [prediction.label for prediction in self]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self.scores[index]
        if self.classes is None:
            values = tuple(float(value) for value in row)
            return Prediction(values[0] if len(values) == 1 else values, None, {})
        order = np.argsort(-row, kind="stable")
        scores = {self.classes[i]: float(row[i]) for i in order}
        if self.task == "multi_label":
            label = tuple(name for name, score in scores.items() if score >= self.threshold)
            return Prediction(label, None, scores)
        best = self.classes[order[0]]
        return Prediction(best, scores[best], scores)

    def __iter__(self) -> Iterator[Prediction]:
        return (self[index] for index in range(len(self)))

    def __str__(self) -> str:
        rows = [self._columns(), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Predictions for {len(self)} inputs>"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self._columns())
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._rows()
        )
        return f"<table><tr>{head}</tr>{body}</table>"

    def to_dict(self) -> dict[str, list]:
        """Columns `input`, `label`, and for classes `scores`, ready for JSON or a data frame."""
        columns = {"input": list(self.inputs), "label": self.labels}
        if self.classes is not None:
            columns["scores"] = [prediction.scores for prediction in self]
        return columns

    def _columns(self):
        if self.task == "regression":
            return ("input", "value")
        return ("input", "label", "score" if self.task == "single_label" else "scores")

    def _rows(self):
        for name, prediction in zip(self.inputs, self, strict=True):
            if self.task == "regression":
                yield name, _number(prediction.label)
            elif self.task == "single_label":
                yield name, str(prediction.label), f"{prediction.score:.3f}"
            else:
                scores = [f"{prediction.scores[label]:.3f}" for label in prediction.label]
                yield name, "|".join(prediction.label) or "-", "|".join(scores) or "-"


def _number(value):
    return ", ".join(f"{v:.4g}" for v in (value if isinstance(value, tuple) else (value,)))
