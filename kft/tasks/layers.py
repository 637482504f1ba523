"""The layers of heads on vectors: hidden ones, dropout, and a last one called `scores`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np

from kft.arguments import LARGEST_SEED, is_number, is_whole, shown
from kft.errors import InputError
from kft.tasks.linear import Loss, Solved, solve
from kft.tasks.task import Task

WIDEST = 65_536  # units of a hidden layer; more is a slip


@dataclass(frozen=True, kw_only=True, repr=False)
class DenseHead(Task):
    """A task whose head is dense: what classification and regression have in common.

    The scores are float32 under mixed precision too.
    """

    augmentable: ClassVar[bool] = True
    activation: ClassVar[str | None] = None
    convex: ClassVar[Loss]  # the loss of what the last Dense layer puts out

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
        """Refuse an argument that is not from 0 to below 1."""
        value = getattr(self, name)
        if not is_number(value) or not 0 <= value < 1:
            raise InputError(f"`{name}={shown(value)}` is not a fraction: pass 0 to below 1.")

    @property
    def width(self) -> int:
        """Numbers that the head puts out for an example."""
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
        """Turn what the last Dense layer puts out into the scores."""
        layer = keras.layers.Activation(self.activation, dtype="float32", name=self.named("scores"))
        return layer(x)

    def solves(self, model: keras.Model, features: Any) -> bool:
        """Return whether nothing but dropout lies between the features and the last Dense layer.

        A recipe may have put another head there, or more around this one.
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
        """Return the last Dense layer, if only the activation lies between it and an output."""
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
        """Solve the last Dense layer, see `kft.tasks.linear.solve`."""
        targets = self.solved_for(model, targets)
        found = solve(features, targets, self.width, self.convex, weights=weights, seed=seed)
        return {self.named("predictions"): found}

    def solved_for(self, model: keras.Model, targets: Any) -> Any:
        """Return the targets in the unit of the last Dense layer.

        Args:
            model: A model with this task's head.
            targets: The targets as the data have them.
        """
        return targets

    def slopes(self, targets: Any, outputs: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss in front of the last activation, without its scale.

        It has one form for squares, for cross-entropy of a softmax and for that of sigmoids.

        Args:
            targets: What the data say, `(n, width)`, or `(n,)` for a single number.
            outputs: What the model says, `(n, width)`.
        """
        return outputs - np.asarray(targets, "float32").reshape(outputs.shape)

    def _drop(self, x: Any, name: str, index: int) -> Any:
        if not self.dropout:
            return x
        return keras.layers.Dropout(self.dropout, seed=self._seed(index), name=self.named(name))(x)

    def _seed(self, index: int) -> int:
        """The seed of one of several layers, within what generators hold."""
        return (self.seed + index) % (LARGEST_SEED + 1)
