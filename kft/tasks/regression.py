"""Regression: one number an example, or several, in the unit of the targets."""

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
    """Numbers in the unit of the targets; the head learns in units of their spread.

    Args:
        num_values: How many numbers an example has. Defaults to 1.
        hidden: As in `Classification`.
        dropout: As in `Classification`.

    Raises:
        InputError: If an argument is out of its range.
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
        """Numbers that the head puts out for an example."""
        return self.num_values

    def scores(self, x: Any) -> Any:
        """Bring what the last Dense layer puts out to the unit of the targets."""
        return keras.layers.Rescaling(1.0, dtype="float32", name=self.named("scores"))(x)

    def loss(self) -> keras.losses.Loss:
        """The mean squared error."""
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """The root mean squared error and the mean absolute error, in the unit of the targets."""
        return [
            keras.metrics.RootMeanSquaredError(name="rmse"),
            keras.metrics.MeanAbsoluteError(name="mae"),
        ]

    def scorer(self, classes: None = None) -> RegressionScorer:
        """Return what compares expected with predicted numbers."""
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
        """Return the numbers of each input, and a range that holds the true one."""
        return NumberRanges(names, outputs, distance=reach(distances))

    def learn(self, targets: Any) -> dict[str, Any]:
        """Mean and standard deviation of the targets, so that the head's weights can stay small."""
        scale = np.std(targets, axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        return {"target_scale": scale.tolist(), "target_offset": np.mean(targets, axis=0).tolist()}

    @property
    def unlearnt(self) -> dict[str, Any]:
        """The unit in which the head itself puts out numbers."""
        return {"target_scale": 1.0, "target_offset": 0.0}

    def apply(self, model: keras.Model, learnt: dict[str, Any]) -> None:
        """Let the last layer answer in the unit of the targets."""
        layer: Any = model.get_layer(self.named("scores"))
        layer.scale = self._checked(learnt, "target_scale")
        layer.offset = self._checked(learnt, "target_offset")

    def solved_for(self, model: keras.Model, targets: Any) -> np.ndarray:
        """Return the targets in units of the spread that the head has learnt."""
        layer: Any = model.get_layer(self.named("scores"))
        rows = np.asarray(targets, "float64").reshape(len(targets), self.num_values)
        return (rows - np.asarray(layer.offset)) / np.asarray(layer.scale)

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return the `value`, `[n]`, or `[n, num_values]` where there are several."""
        return {"value": outputs[:, 0] if self.num_values == 1 else outputs}

    def answer_rules(self) -> Rules:
        """One value can be asked for by the Regress API."""
        return Rules(regress="value" if self.num_values == 1 else None)

    def _checked(self, learnt: dict[str, Any], name: str) -> Any:
        values = np.asarray(learnt[name], "float64")
        if values.shape not in ((), (self.num_values,)) or not np.isfinite(values).all():
            raise InputError(
                f"the saved {name} is {learnt[name]!r:.100}, but {self.num_values} finite numbers "
                "are expected."
            )
        return values.tolist()
