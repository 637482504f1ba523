"""The output layer, loss and metric of extractive question answering."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["NOT_THERE", "SpanAccuracy", "SpanCrossEntropy", "SpanScores"]

NOT_THERE = -1  # the target of an answer that was cut off
_NEVER = -1e9


@keras.saving.register_keras_serializable(package="kft")
class SpanScores(keras.layers.Layer):
    """Turn scores into log-probabilities of an answer's start and end, and append word positions.

    An answer can start or end only at a token that begins a word of the context, or at the first token,
    which stands for no answer.
    """

    def call(self, inputs: Any) -> Any:
        """Join scores `[batch, length, 2]` with starts and ends of words `[batch, length]`."""
        scores, *places = (ops.cast(one, "float32") for one in inputs)
        is_first = ops.equal(ops.arange(ops.shape(scores)[1]), 0)
        allowed = ops.logical_or(is_first, ops.greater(places[1], 0))
        logs = ops.log_softmax(ops.where(ops.expand_dims(allowed, -1), scores, _NEVER), axis=1)
        return ops.concatenate([logs, *(ops.expand_dims(one, -1) for one in places)], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape `(batch, length, 4)`."""
        return (*input_shape[0][:-1], 4)


class SpanCrossEntropy(keras.losses.Loss):
    """The mean of the cross-entropies of start and end, over the answers that were not cut off."""

    def __init__(self, *, name: str = "span_cross_entropy"):
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of a batch, a single number; 0 if all answers were cut off."""
        known, places = _places(y_true)
        found = ops.take_along_axis(y_pred[..., :2], places[:, None], axis=1)[:, 0]
        losses = -ops.mean(found, axis=-1) * known
        return ops.sum(losses) / ops.maximum(ops.sum(known), 1.0)

    def get_config(self) -> dict:
        """Return the arguments, for Keras' serialisation."""
        return {"name": self.name}


class SpanAccuracy(keras.metrics.Mean):
    """The fraction of answers whose most probable start and end are both right."""

    def __init__(self, name: str = "accuracy", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch; answers that were cut off count as wrong."""
        known, places = _places(y_true)
        found = ops.cast(ops.argmax(y_pred[..., :2], axis=1), "int32")
        right = ops.cast(ops.all(ops.equal(found, places), axis=-1), "float32") * known
        return super().update_state(right)


def _places(y_true: Any) -> tuple[Any, Any]:
    """Return which answers were not cut off, as 0 and 1, and token indices clipped to valid ones."""
    y_true = ops.cast(y_true, "int32")
    return ops.cast(ops.all(y_true >= 0, axis=-1), "float32"), ops.maximum(y_true, 0)
