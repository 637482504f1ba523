"""The output layer, loss and metric of tagging."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["NOT_A_WORD", "TagAccuracy", "TagCrossEntropy", "WithPlaces"]

NOT_A_WORD = -1  # target of tokens that begin no word; lower at the first if words were cut off


@keras.saving.register_keras_serializable(package="kft")
class WithPlaces(keras.layers.Layer):
    """Append the positions of words to the scores of tags, so that an output locates its words."""

    def call(self, inputs: Any) -> Any:
        """Join scores `[batch, length, tags]` with starts and ends `[batch, length]`."""
        scores, *places = inputs
        columns = [ops.expand_dims(ops.cast(one, "float32"), -1) for one in places]
        return ops.concatenate([ops.cast(scores, "float32"), *columns], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape `(batch, length, tags + 2)`."""
        scores, *places = input_shape
        return (*scores[:-1], scores[-1] + len(places))


class TagCrossEntropy(keras.losses.Loss):
    """The mean cross-entropy of the tags over the words of a batch.

    Args:
        label_smoothing: Fraction of each target spread evenly over all tags. Defaults to 0.
    """

    def __init__(self, *, label_smoothing: float = 0.0, name: str = "tag_cross_entropy"):
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of a batch, a single number; 0 if it has no words."""
        scores = y_pred[..., :-2]
        known, labels = _labels(y_true)
        width = scores.shape[-1]
        rows = ops.one_hot(labels, width, dtype=scores.dtype)
        rows = rows * (1 - self.label_smoothing) + self.label_smoothing / width
        losses = ops.categorical_crossentropy(rows, scores) * known
        return ops.sum(losses) / ops.maximum(ops.sum(known), 1.0)

    def get_config(self) -> dict:
        """Return the arguments, for Keras' serialisation."""
        return {"name": self.name, "label_smoothing": self.label_smoothing}


class TagAccuracy(keras.metrics.Mean):
    """The fraction of words whose most probable tag is right."""

    def __init__(self, name: str = "accuracy", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch; tokens that begin no word do not count."""
        known, labels = _labels(y_true)
        found = ops.cast(ops.argmax(y_pred[..., :-2], axis=-1), "int32")
        return super().update_state(
            ops.cast(ops.equal(found, labels), "float32"), sample_weight=known
        )


def _labels(y_true: Any) -> tuple[Any, Any]:
    """Return where words begin, as 0 and 1, and class numbers clipped to valid ones."""
    y_true = ops.cast(y_true, "int32")
    return ops.cast(y_true >= 0, "float32"), ops.maximum(y_true, 0)
