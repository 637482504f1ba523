"""The output layer, loss and metric of next-token prediction."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["NOTHING_FOLLOWS", "FollowingTokens", "TokenAccuracy", "TokenCrossEntropy"]

NOTHING_FOLLOWS = -1  # where a text ends


@keras.saving.register_keras_serializable(package="kft")
class FollowingTokens(keras.layers.Layer):
    """Reduce logits over the vocabulary to what losses, figures and answers need.

    Logits for the whole vocabulary at each position take too much memory to keep for several batches.
    This layer returns two numbers per position.

    Args:
        candidates: The number of most probable next tokens of the whole text.
    """

    def __init__(self, candidates: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidates = candidates

    def call(self, inputs: Any) -> Any:
        """Return two numbers for each position, followed by two for each candidate.

        Args:
            inputs: Logits `[batch, length, vocabulary]`, and the model's `token_ids` and
                `padding_mask`, `[batch, length]`.

        Returns:
            float32 `[batch, length + candidates, 2]`. For a position, the log-probability of the next
            token, and 1 if no other is more probable, else 0; or 0 and -1 if nothing follows. For a
            candidate, its probability and its token id, most probable first.
        """
        scores, token_ids, mask = inputs
        scores, mask = ops.cast(scores, "float32"), ops.cast(mask, "int32")
        total = ops.logsumexp(scores, axis=-1)
        following, follows = _shifted(token_ids), ops.cast(_shifted(mask), "float32")
        chosen = ops.take_along_axis(scores, following[..., None], axis=-1)[..., 0]
        logs = (chosen - total) * follows
        best = ops.cast(ops.equal(chosen, ops.max(scores, axis=-1)), "float32")
        best = ops.where(follows > 0, best, float(NOTHING_FOLLOWS))
        last = ops.maximum(ops.sum(mask, axis=1) - 1, 0)
        at_last = ops.take_along_axis(scores, last[:, None, None], axis=1)[:, 0]
        values, numbers = ops.top_k(at_last, self.candidates)
        values = ops.exp(values - ops.logsumexp(at_last, axis=-1, keepdims=True))
        places = ops.stack([logs, ops.stop_gradient(best)], axis=-1)
        predicted = ops.stack([ops.stop_gradient(values), ops.cast(numbers, "float32")], axis=-1)
        return ops.concatenate([places, predicted], axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape `(batch, length + candidates, 2)`."""
        (batch, length, _), *_ = input_shape
        return (batch, None if length is None else length + self.candidates, 2)

    def get_config(self) -> dict:
        """Return the arguments, for Keras' serialisation."""
        return {**super().get_config(), "candidates": self.candidates}


class TokenCrossEntropy(keras.losses.Loss):
    """The mean cross-entropy over the tokens of a batch that count, in nats."""

    def __init__(self, name: str = "token_cross_entropy") -> None:
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of a batch, a single number; 0 if no token counts."""
        counts, predicted = _counted(y_true, y_pred)
        return -ops.sum(counts * predicted[..., 0]) / ops.maximum(ops.sum(counts), 1.0)

    def get_config(self) -> dict:
        """Return the arguments, for Keras' serialisation."""
        return {"name": self.name}


class TokenAccuracy(keras.metrics.Mean):
    """The fraction of tokens that count for which no other token is more probable."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch; tokens that do not count are left out."""
        counts, predicted = _counted(y_true, y_pred)
        return super().update_state(predicted[..., 1], sample_weight=counts)


def _shifted(values: Any) -> Any:
    """Return values shifted to the left by one, with 0 at the end, `[batch, length]`."""
    values = ops.cast(values, "int32")
    return ops.concatenate([values[:, 1:], ops.zeros_like(values[:, :1])], axis=1)


def _counted(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return which positions count, as 0 and 1, and their outputs."""
    return ops.cast(y_true[..., 0], "float32"), y_pred[:, : ops.shape(y_true)[1]]
