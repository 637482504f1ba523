"""The loss and metric of segmentation, over pixels that are not ignored."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kft.tasks.masks.stored import IGNORED

__all__ = ["MaskLoss", "PixelAccuracy"]

_LEAST = 1e-7  # lower bound of probabilities before their logarithm


class MaskLoss(keras.losses.Loss):
    """The mean cross-entropy over the pixels of an image that are not ignored.

    Args:
        dice: Weight of the soft Dice loss that is added (Milletari et al. 2016,
            https://arxiv.org/abs/1606.04797), averaged over the classes in the image. Defaults to 0.
    """

    def __init__(self, *, dice: float = 0.0, name: str = "mask_loss"):
        super().__init__(name=name)
        self.dice = dice

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, `[n]`; 0 if all of its pixels are ignored."""
        counted, rows = _counted(y_true, y_pred)
        right = ops.clip(ops.sum(rows * y_pred, axis=-1), _LEAST, 1.0)
        losses = -ops.log(right) * counted
        loss = ops.sum(losses, (1, 2)) / ops.maximum(ops.sum(counted, (1, 2)), 1.0)
        if not self.dice:
            return loss
        here = counted[..., None]
        shared = ops.sum(rows * y_pred * here, (1, 2))
        truth, both = ops.sum(rows * here, (1, 2)), ops.sum((rows + y_pred) * here, (1, 2))
        present = ops.cast(truth > 0, y_pred.dtype)
        missed = (1 - 2 * shared / ops.maximum(both, 1.0)) * present
        return loss + self.dice * ops.sum(missed, -1) / ops.maximum(ops.sum(present, -1), 1.0)

    def get_config(self) -> dict:
        """Return the arguments, for Keras' serialisation."""
        return {"name": self.name, "dice": self.dice}


class PixelAccuracy(keras.metrics.Mean):
    """The fraction of pixels whose most probable class is right, without ignored pixels."""

    def __init__(self, name: str = "pixel_accuracy", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch."""
        found = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        labels = ops.cast(y_true, "int32")
        return super().update_state(
            ops.cast(ops.equal(found, labels), "float32"),
            sample_weight=ops.cast(ops.not_equal(labels, IGNORED), "float32"),
        )


def _counted(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return which pixels count, as 0 and 1, and their classes as one-hot rows."""
    labels = ops.cast(y_true, "int32")
    is_counted = ops.not_equal(labels, IGNORED)
    labels = ops.where(is_counted, labels, 0)  # PyTorch rejects a class out of range
    rows = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
    return ops.cast(is_counted, y_pred.dtype), rows
