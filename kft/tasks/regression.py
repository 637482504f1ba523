"""Regression: one or several numbers per example, in the units of the targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from kft.answers import Ops, Rules
from kft.arguments import is_whole, shown
from kft.data.kinds import Numbers
from kft.errors import InputError
from kft.tasks.classification import MOST_CLASSES
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.regression import RegressionScorer
from kft.tasks.layers import DenseHead
from kft.tasks.linear import Loss, Squares
from kft.tasks.predictions import NumberPredictions, NumberRanges


@dataclass(frozen=True, kw_only=True, repr=False)
class Regression(DenseHead, Numbers):
    """One or several numbers per example, in the units of the targets.

    The last Dense layer works on standardised values, which are scaled back afterwards.

    Args:
        num_values: Number of values per example. Defaults to 1.
        hidden: As in `Classification`.
        dropout: As in `Classification`.

    Raises:
        InputError: If an argument is out of range.
    """

    name: ClassVar[str] = "regression"
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_rmse", "min")
    directions: ClassVar[Mapping[str, Better]] = {"rmse": "min", "mae": "min"}

    convex: ClassVar[Loss] = Squares()

    num_values: int = field(default=1, kw_only=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_whole(self.num_values, 1, MOST_CLASSES):
            raise InputError(
                f"`num_classes={shown(self.num_values)}`, but `task={self.name!r}` needs a whole "
                f"number of values to predict, at least 1 and at most {MOST_CLASSES:,}."
            )
        object.__setattr__(self, "num_values", int(self.num_values))

    @property
    def width(self) -> int:
        """Number of outputs per example."""
        return self.num_values

    def scores(self, x: Any) -> Any:
        """Scale the outputs of the last Dense layer to the units of the targets."""
        return keras.layers.Rescaling(1.0, dtype="float32", name=self.named("scores"))(x)

    def loss(self) -> keras.losses.Loss:
        """Return the mean squared error."""
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the root mean squared error and the mean absolute error, in the units of the targets."""
        return [
            keras.metrics.RootMeanSquaredError(name="rmse"),
            keras.metrics.MeanAbsoluteError(name="mae"),
        ]

    def scorer(self, classes: None = None) -> RegressionScorer:
        """Return a scorer of predicted numbers against targets."""
        return RegressionScorer(self.name)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: None = None
    ) -> NumberPredictions:
        """Return the numbers of each input."""
        return NumberPredictions(names, outputs)

    def distances(self, outputs: np.ndarray, targets: Any) -> np.ndarray:
        """Return the absolute errors, `[n, num_values]`."""
        return np.abs(outputs - np.asarray(targets, "float32").reshape(outputs.shape))

    def covering(
        self,
        names: Sequence[str],
        outputs: np.ndarray,
        classes: None,
        reach: Callable[[Any], np.ndarray],
        distances: Any,
    ) -> NumberRanges:
        """Return the numbers of each input, each with a prediction interval."""
        return NumberRanges(names, outputs, distance=reach(distances))

    def learn(self, targets: Any) -> dict[str, Any]:
        """Return mean and standard deviation of the targets, so that the head's weights stay small."""
        scale = np.std(targets, axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        return {"target_scale": scale.tolist(), "target_offset": np.mean(targets, axis=0).tolist()}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """The scale and offset that leave the outputs of the head unchanged."""
        return {"target_scale": 1.0, "target_offset": 0.0}

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Set the last layer's scale and offset, so that it answers in the units of the targets."""
        layer: Any = model.get_layer(self.named("scores"))
        layer.scale = self._checked(learnt, "target_scale")
        layer.offset = self._checked(learnt, "target_offset")

    def solved_for(self, model: keras.Model, targets: Any) -> np.ndarray:
        """Return the targets standardised by the learnt mean and standard deviation."""
        layer: Any = model.get_layer(self.named("scores"))
        rows = np.asarray(targets, "float64").reshape(len(targets), self.num_values)
        return (rows - np.asarray(layer.offset)) / np.asarray(layer.scale)

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return the `value`, `[n]`, or `[n, num_values]` if there are several."""
        return {"value": outputs[:, 0] if self.num_values == 1 else outputs}

    def answer_rules(self) -> Rules:
        """Return rules by which the Regress API can serve a single value."""
        return Rules(regress="value" if self.num_values == 1 else None)

    def _checked(self, learnt: dict[str, Any], name: str) -> Any:
        values = np.asarray(learnt[name], "float64")
        if values.shape not in ((), (self.num_values,)) or not np.isfinite(values).all():
            raise InputError(
                f"the saved {name} is {learnt[name]!r:.100}, but {self.num_values} finite numbers "
                "are expected."
            )
        return values.tolist()
