"""Dense heads on feature vectors: hidden layers, dropout, and a last layer named `scores`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from kft.arguments import LARGEST_SEED, is_number, is_whole, shown
from kft.errors import InputError
from kft.tasks.linear import Loss, Solved, solve
from kft.tasks.task import Task

WIDEST = 65_536  # units of a hidden layer; more must be a mistake


@dataclass(frozen=True, kw_only=True, repr=False)
class DenseHead(Task):
    """A task with a dense head, the base of classification and regression.

    The scores are float32 even under mixed precision.
    """

    augmentable: ClassVar[bool] = True
    activation: ClassVar[str | None] = None
    convex: ClassVar[Loss]  # the loss of the outputs of the last Dense layer

    hidden: tuple[int, ...] = ()
    dropout: float = 0.2

    def __post_init__(self) -> None:
        widths = self.hidden if isinstance(self.hidden, (tuple, list)) else ("no sequence",)
        if not all(is_whole(width, 1, WIDEST) for width in widths):
            raise InputError(
                f"`hidden={shown(self.hidden)}` is not a list of layer widths from 1 to {WIDEST:,}: "
                "pass for example hidden=(128,)."
            )
        object.__setattr__(self, "hidden", tuple(self.hidden))
        self.check_fraction("dropout")

    def check_fraction(self, name: str) -> None:
        """Raise an error unless an argument is at least 0 and below 1."""
        value = getattr(self, name)
        if not is_number(value) or not 0 <= value < 1:
            raise InputError(f"`{name}={shown(value)}` is not a fraction: pass 0 to below 1.")

    @property
    def width(self) -> int:
        """Number of outputs per example."""
        raise NotImplementedError

    def head(self, features: Any, inputs: Any) -> Any:
        """Add hidden layers, dropout and the scores, float32 `(batch, width)`."""
        x = features
        if len(x.shape) != 2:
            raise InputError(
                f"`task={self.name!r}` takes features (batch, channels), but these have the shape "
                f"{x.shape}: pool them first."
            )
        for index, width in enumerate(self.hidden, start=1):
            x = self._drop(x, f"head_dropout_{index}", index)
            x = keras.layers.Dense(
                width,
                activation="relu",
                kernel_initializer=keras.initializers.HeNormal(seed=self._seed(index)),
                name=self.named(f"head_hidden_{index}"),
            )(x)
        x = self._drop(x, "head_dropout", 0)
        x = keras.layers.Dense(
            self.width,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self.seed),
            dtype="float32",
            name=self.named("predictions"),
        )(x)
        return self.scores(x)

    def scores(self, x: Any) -> Any:
        """Turn the outputs of the last Dense layer into scores."""
        layer = keras.layers.Activation(self.activation, dtype="float32", name=self.named("scores"))
        return layer(x)

    def solves(self, model: keras.Model, features: Any) -> bool:
        """Return whether only dropout lies between the features and the last Dense layer.

        A recipe may have replaced or extended the head.
        """
        last = self.last_dense(model)
        if last is None:
            return False
        try:
            between = keras.Model(features, last.output).layers
        except ValueError:  # the layer does not depend on the features alone
            return False
        passing = (keras.layers.InputLayer, keras.layers.Dropout)
        return all(layer is last or isinstance(layer, passing) for layer in between)

    def last_dense(self, model: keras.Model) -> keras.layers.Dense | None:
        """Return the last Dense layer; None unless only the activation separates it from an output."""
        layers = {layer.name: layer for layer in model.layers}
        last = layers.get(self.named("predictions"))
        scores = layers.get(self.named("scores"))
        if not isinstance(last, keras.layers.Dense) or scores is None:
            return None
        ends = {id(tensor) for tensor in model.outputs}
        if scores.input is not last.output or id(scores.output) not in ends:
            return None
        return last

    def solve(
        self,
        model: keras.Model,
        features: np.ndarray,
        targets: Any,
        *,
        weights: np.ndarray | None = None,
        seed: int = 0,
    ) -> dict[str, Solved]:
        """Solve the last Dense layer; see `kft.tasks.linear.solve`."""
        targets = self.solved_for(model, targets)
        found = solve(features, targets, self.width, self.convex, weights=weights, seed=seed)
        return {self.named("predictions"): found}

    def solved_for(self, model: keras.Model, targets: Any) -> Any:
        """Return the targets in the units of the last Dense layer.

        Args:
            model: A model with this task's head.
            targets: The targets of the data.
        """
        return targets

    def slopes(self, targets: Any, outputs: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss before the last activation, up to its scale.

        The squared error and the cross-entropies of a softmax and of sigmoids share this form.

        Args:
            targets: The targets, `(n, width)`, or `(n,)` for a single number.
            outputs: The model's outputs, `(n, width)`.
        """
        return outputs - np.asarray(targets, "float32").reshape(outputs.shape)

    def _drop(self, x: Any, name: str, index: int) -> Any:
        if not self.dropout:
            return x
        return keras.layers.Dropout(self.dropout, seed=self._seed(index), name=self.named(name))(x)

    def _seed(self, index: int) -> int:
        """Return the seed of one of several layers, within the range of random generators."""
        return (self.seed + index) % (LARGEST_SEED + 1)
