"""The evaluation of any task: its loss and its metrics, as Keras computes them."""

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
        directions: Name to `"max"` or `"min"`, of those whose direction is known.
    """

    values: Mapping[str, float]
    directions: Mapping[str, Better] = field(default_factory=dict)

    @property
    def figures(self) -> Figures:
        """Name and value of each metric, and of the loss."""
        return Figures(
            Figure(name, value, better=self.directions.get(name), meaning=_meaning(name))
            for name, value in self.values.items()
        )


class MetricsScorer:
    """Run the loss and the metrics of a task over batches; see `Scorer`.

    Batches count by their examples, as in `keras.Model.evaluate`.

    Args:
        loss: A loss as `keras.Model.compile` takes it, for outputs of any structure.
        metrics: Metrics as `keras.Model.compile` takes them.
        task: What the evaluation calls its task.
        directions: Name of a metric to `"max"` or `"min"`; these metrics come first.
    """

    def __init__(
        self, loss: Any, metrics: Any, *, task: str, directions: Mapping[str, Better] | None = None
    ) -> None:
        self._task, self._directions = task, {**(directions or {}), "loss": "min"}
        # A model without layers: Keras itself knows how losses and metrics belong to outputs.
        self._model = keras.Model(name="scored")
        self._model.compile(loss=loss, metrics=metrics)
        self._loss = keras.metrics.Mean(name="loss")
        self._places = Places()
        self._examples: list[np.ndarray] = []
        self._logs: dict[str, Any] = {}

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Take over a batch of targets and outputs of any structure."""
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
        known = list(self._directions)  # the loss last, after those whose direction nobody said
        last = len(known) - 1
        found.sort(key=lambda pair: known.index(pair[0]) if pair[0] in known else last - 0.5)
        return MetricsEvaluation(
            task=self._task,
            examples=compact(np.sort(np.concatenate(self._examples))),
            values=dict(found),
            directions=self._directions,
        )


def _each(name: str, found: Any) -> list[tuple[str, float]]:
    """A metric's value, or those of a metric that has one for each class."""
    values = np.asarray(keras.ops.convert_to_numpy(found), np.float64)
    if values.size == 1:
        return [(name, float(values.reshape(())))]
    return [(f"{name}_{index}", float(value)) for index, value in enumerate(values.ravel())]


def _meaning(name: str) -> str:
    return "what training minimises" if name == "loss" else ""
