"""The evaluation of any task by its loss and metrics, as Keras computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kft.errors import InputError
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.figures import Better, Figure, Figures
from kft.tasks.evaluation.scorer import Places, compact, count_of, need_examples


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MetricsEvaluation(Evaluation):
    """The loss and the metrics of a task on labelled examples.

    Args:
        values: Name and value of each; the loss comes last.
        directions: Name to `"max"` or `"min"`, for metrics whose direction is known.
    """

    values: Mapping[str, float]
    directions: Mapping[str, Better] = field(default_factory=dict)

    @property
    def figures(self) -> Figures:
        """Name and value of each metric and of the loss."""
        return Figures(
            Figure(name, value, better=self.directions.get(name), meaning=_meaning(name))
            for name, value in self.values.items()
        )


class MetricsScorer:
    """Compute the loss and the metrics of a task batch by batch; see `Scorer`.

    Batches are weighted by their examples, as in `keras.Model.evaluate`.

    Args:
        loss: As for `keras.Model.compile`, for outputs of any structure.
        metrics: As for `keras.Model.compile`.
        task: The name of the task in the evaluation.
        directions: Name of a metric to `"max"` or `"min"`; these metrics come first.
    """

    def __init__(
        self, loss: Any, metrics: Any, *, task: str, directions: Mapping[str, Better] | None = None
    ) -> None:
        self._task, self._directions = task, {**(directions or {}), "loss": "min"}
        # A model without layers, since Keras knows how to match losses and metrics to outputs.
        self._model = keras.Model(name="scored")
        self._model.compile(loss=loss, metrics=metrics)
        self._loss = keras.metrics.Mean(name="loss")
        self._places = Places()
        self._examples: list[np.ndarray] = []
        self._logs: dict[str, Any] = {}

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch of targets and outputs of any structure."""
        count = count_of(outputs)
        if count != count_of(targets):
            raise InputError(
                f"{count_of(targets)} targets for {count} rows of outputs: expected one row "
                "per example, in the same order."
            )
        self._examples.append(self._places.of(rows, outputs))
        y, y_pred = keras.tree.map_structure(keras.ops.convert_to_tensor, (targets, outputs))
        loss = self._model.compute_loss(y=y, y_pred=y_pred, training=False)
        self._loss.update_state(loss, sample_weight=count)
        self._logs = self._model.compute_metrics(None, y, y_pred)

    def result(self) -> MetricsEvaluation:
        """Return the evaluation of all batches."""
        need_examples(sum(map(len, self._examples)))
        logs = {**self._logs, "loss": self._loss.result()}
        found = [pair for name, value in logs.items() for pair in _each(name, value)]
        known = list(self._directions)  # the loss last, after metrics of unknown direction
        last = len(known) - 1
        found.sort(key=lambda pair: known.index(pair[0]) if pair[0] in known else last - 0.5)
        return MetricsEvaluation(
            task=self._task,
            examples=compact(np.sort(np.concatenate(self._examples))),
            values=dict(found),
            directions=self._directions,
        )


def _each(name: str, found: Any) -> list[tuple[str, float]]:
    """Return the value of a metric, or several for a metric with one value per class."""
    values = np.asarray(keras.ops.convert_to_numpy(found), np.float64)
    if values.size == 1:
        return [(name, float(values.reshape(())))]
    return [(f"{name}_{index}", float(value)) for index, value in enumerate(values.ravel())]


def _meaning(name: str) -> str:
    return "what training minimises" if name == "loss" else ""
