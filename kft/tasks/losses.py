"""Losses and metrics of classifiers that accept both class numbers and rows of probabilities."""

import keras
from keras import ops


class LabelCrossEntropy(keras.losses.Loss):
    """Cross-entropy between probabilities and targets that are class numbers or rows of probabilities.

    The shape distinguishes class numbers `(batch,)` from soft targets `(batch, classes)`, as MixUp and
    CutMix make them, so that training on soft targets can be validated on class numbers. Keras has a
    loss for each kind, and its sparse one has no label smoothing. The loss of a class number that does
    not exist is NaN on every backend.

    Args:
        label_smoothing: Fraction of each target spread evenly over all classes, from 0 to below 1.
            Defaults to 0.
    """

    def __init__(self, *, label_smoothing: float = 0.0, name: str = "cross_entropy"):
        super().__init__(name=name)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Return the loss of each example, `(batch,)`."""
        if _is_soft(y_true, y_pred):
            return self._of_rows(y_true, y_pred)
        labels, classes = _class_numbers(y_true), y_pred.shape[-1]
        # For a label out of range, backends raise an error that does not name it, or ignore it. A loss
        # cannot raise inside a compiled step, so it is NaN.
        exists = ops.logical_and(labels >= 0, labels < classes)
        labels = ops.where(exists, labels, 0)
        if self.label_smoothing:
            losses = self._of_rows(ops.one_hot(labels, classes, dtype=y_pred.dtype), y_pred)
        else:
            losses = ops.sparse_categorical_crossentropy(labels, y_pred)
        return ops.where(exists, losses, float("nan"))

    def _of_rows(self, rows, y_pred):
        rows = ops.cast(rows, y_pred.dtype)
        rows = rows * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        return ops.categorical_crossentropy(rows, y_pred)

    def get_config(self) -> dict:
        """Return the arguments, for Keras' serialisation."""
        return {"name": self.name, "label_smoothing": self.label_smoothing}


def label_matches(y_true, y_pred):
    """Return 1 where the most probable class matches the target, else 0, `(batch,)`."""
    labels = ops.argmax(y_true, axis=-1) if _is_soft(y_true, y_pred) else _class_numbers(y_true)
    return ops.cast(ops.equal(ops.cast(labels, "int32"), ops.argmax(y_pred, axis=-1)), "float32")


def rows_of_probabilities(y_true, y_pred):
    """Return targets as rows of probabilities `(batch, classes)`, in the dtype of the scores."""
    if _is_soft(y_true, y_pred):
        return ops.cast(y_true, y_pred.dtype)
    return ops.one_hot(_class_numbers(y_true), y_pred.shape[-1], dtype=y_pred.dtype)


def _is_soft(y_true, y_pred):
    return len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == y_pred.shape[-1]


def _class_numbers(y_true):
    """Return class numbers as int32 `(batch,)`: Keras passes a column `(batch, 1)` on unchanged."""
    labels = ops.cast(y_true, "int32")
    return ops.squeeze(labels, axis=-1) if len(labels.shape) > 1 else labels
