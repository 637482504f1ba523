"""Examples of one class drawn together: the warm start of a backbone for a few examples of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

STEPS = 30
_MOST = 64  # examples of a step
_LEAST_EACH = 2  # an example and another of its class
_RATE = 1e-4
_WARMUP = 0.1
_TEMPERATURE = 0.1
_NEVER = 1e9  # taken off a similarity, it leaves no probability


@keras.saving.register_keras_serializable("kft")
class SupervisedContrastive(keras.losses.Loss):
    """How badly the other examples of its class are told from the rest of the batch by an example.

    The loss of Khosla et al. 2020 (https://arxiv.org/abs/2004.11362, equation 2, with the mean
    outside of the logarithm). An example without another of its class counts as 0.

    Args:
        temperature: What cosines are divided by. Defaults to 0.1.
    """

    def __init__(self, temperature: float = _TEMPERATURE, name: str = "contrast") -> None:
        super().__init__(name=name)
        self.temperature = temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example.

        Args:
            y_true: Class numbers `(batch,)`.
            y_pred: Vectors of length 1, `(batch, channels)`.
        """
        classes = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        vectors = ops.cast(y_pred, "float32")
        itself = ops.eye(ops.shape(vectors)[0], dtype="float32")
        cosines = ops.matmul(vectors, ops.transpose(vectors)) / self.temperature
        likely = ops.log_softmax(cosines - _NEVER * itself, axis=1)
        same = ops.cast(classes[:, None] == classes[None, :], "float32") - itself
        return -ops.sum(same * likely, axis=1) / ops.maximum(ops.sum(same, axis=1), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"temperature": self.temperature, "name": self.name}


class ContrastiveBatches(keras.utils.PyDataset):
    """Batches with as many examples of each class, at least two, drawn from a seed.

    Each has the same number of examples, at most 64, so that a step is compiled once; of more classes
    than fit, each has a part. A class with fewer examples than its part repeats them.

    Args:
        inputs: Arrays by name, a row for each example.
        classes: Class numbers `(examples,)`.
        seed: Decides what is drawn.
    """

    def __init__(self, inputs: Mapping[str, np.ndarray], classes: np.ndarray, seed: int) -> None:
        super().__init__()
        self._inputs, self._classes, self._seed = inputs, classes, seed
        self._members = [np.flatnonzero(classes == one) for one in np.unique(classes)]
        largest = max(len(members) for members in self._members)
        self._each = min(max(_LEAST_EACH, _MOST // len(self._members)), max(_LEAST_EACH, largest))

    def __len__(self) -> int:
        """The steps of the one epoch."""
        return STEPS

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the batch of a step."""
        rng = np.random.default_rng([self._seed, index])
        chosen = rng.permutation(len(self._members))[: _MOST // self._each]
        rows = np.concatenate(
            [np.resize(rng.permutation(self._members[one]), self._each) for one in chosen]
        )
        return {name: one[rows] for name, one in self._inputs.items()}, self._classes[rows]


def directions_of(model: keras.Model, features: Any) -> keras.Model:
    """Return the part of a model below its head, which puts out vectors of length 1.

    Args:
        model: The model.
        features: The tensor of it that its head is on, `(batch, channels)`.
    """
    return keras.Model(model.input, keras.layers.UnitNormalization(dtype="float32")(features))


def draw_together(
    body: keras.Model,
    batches: ContrastiveBatches,
    optimizer: keras.optimizers.Optimizer,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Train what gives examples a direction, until those of one class have the same.

    Args:
        body: What `directions_of` returned, of which everything trains that its flags let train.
        batches: What it trains on, for 30 steps.
        optimizer: A new optimizer; its rate rises for a tenth of the steps and falls to zero as a cosine.
        callbacks: Callbacks of Keras.
    """
    body.compile(optimizer, loss=SupervisedContrastive())
    return body.fit(batches, shuffle=False, verbose=0, callbacks=list(callbacks))


def falling_rate() -> keras.optimizers.schedules.LearningRateSchedule:
    """Return the rates of the steps."""
    rising = round(_WARMUP * STEPS)
    return keras.optimizers.schedules.CosineDecay(
        0.0, STEPS - rising, warmup_target=_RATE, warmup_steps=rising
    )
