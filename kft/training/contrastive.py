"""Supervised contrastive training: the warm start of a backbone when each class has few examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

STEPS = 30
USUAL_TEMPERATURE = 0.5  # that calibrates scores after it, on draws of trec6 (about 1 without it)
_MOST = 64  # examples per step
_LEAST_EACH = 2  # a positive pair needs two examples of a class
_RATE = 1e-4
_WARMUP = 0.1
_TEMPERATURE = 0.1
_MASKED = 1e9  # subtracted from a logit, leaves it no probability


@keras.saving.register_keras_serializable("kft")
class SupervisedContrastive(keras.losses.Loss):
    """The supervised contrastive loss, which pulls examples of one class together and others apart.

    Equation 2 of Khosla et al. 2020 (https://arxiv.org/abs/2004.11362), with the mean outside the
    logarithm. An example that is alone with its class in the batch has loss 0.

    Args:
        temperature: Divisor of the cosine similarities. Defaults to 0.1.
    """

    def __init__(self, temperature: float = _TEMPERATURE, name: str = "contrast") -> None:
        super().__init__(name=name)
        self.temperature = temperature

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each example.

        Args:
            y_true: Class numbers `(batch,)`.
            y_pred: Unit vectors `(batch, channels)`.
        """
        classes = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        vectors = ops.cast(y_pred, "float32")
        itself = ops.eye(ops.shape(vectors)[0], dtype="float32")
        cosines = ops.matmul(vectors, ops.transpose(vectors)) / self.temperature
        likely = ops.log_softmax(cosines - _MASKED * itself, axis=1)
        same = ops.cast(classes[:, None] == classes[None, :], "float32") - itself
        return -ops.sum(same * likely, axis=1) / ops.maximum(ops.sum(same, axis=1), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {"temperature": self.temperature, "name": self.name}


class ContrastiveBatches(keras.utils.PyDataset):
    """Random batches with equally many examples of each class, at least two.

    All batches have the same size, at most 64, so that the step compiles once. If there are more
    classes than fit, each batch samples some of them. A class with too few examples repeats them.

    Args:
        inputs: Arrays by name, one row per example.
        classes: Class numbers `(examples,)`.
        seed: Seed of the sampling.
    """

    def __init__(self, inputs: Mapping[str, np.ndarray], classes: np.ndarray, seed: int) -> None:
        super().__init__()
        self._inputs, self._classes, self._seed = inputs, classes, seed
        self._members = [np.flatnonzero(classes == one) for one in np.unique(classes)]
        largest = max(len(members) for members in self._members)
        self._each = min(max(_LEAST_EACH, _MOST // len(self._members)), max(_LEAST_EACH, largest))

    def __len__(self) -> int:
        """Return the number of steps of the only epoch."""
        return STEPS

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the batch of a step."""
        rng = np.random.default_rng([self._seed, index])
        chosen = rng.permutation(len(self._members))[: _MOST // self._each]
        rows = np.concatenate(
            [np.resize(rng.permutation(self._members[one]), self._each) for one in chosen]
        )
        return {name: one[rows] for name, one in self._inputs.items()}, self._classes[rows]


def unit_vectors_of(model: keras.Model, features: Any) -> keras.Model:
    """Return the part of a model below its head, with unit vectors as its output.

    Args:
        model: The model.
        features: The tensor that the head takes, `(batch, channels)`.
    """
    return keras.Model(model.input, keras.layers.UnitNormalization(dtype="float32")(features))


def train_contrastively(
    body: keras.Model,
    batches: ContrastiveBatches,
    optimizer: keras.optimizers.Optimizer,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Train a body with the supervised contrastive loss.

    Args:
        body: The model that `unit_vectors_of` returned; its trainable variables are trained.
        batches: The training batches, 30 of them.
        optimizer: A new optimizer, whose rate is that of `warmup_cosine`.
        callbacks: Keras callbacks.
    """
    body.compile(optimizer, loss=SupervisedContrastive())
    return body.fit(batches, shuffle=False, verbose=0, callbacks=list(callbacks))


def warmup_cosine() -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a rate that warms up over a tenth of the steps and then decays to zero as a cosine."""
    rising = round(_WARMUP * STEPS)
    return keras.optimizers.schedules.CosineDecay(
        0.0, STEPS - rising, warmup_target=_RATE, warmup_steps=rising
    )
