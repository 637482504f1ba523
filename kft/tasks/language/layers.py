"""What a model says of the tokens that follow others, and its loss and metric on those that count."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["NOTHING_FOLLOWS", "FollowingTokens", "TokenAccuracy", "TokenCrossEntropy"]

NOTHING_FOLLOWS = -1  # where a text ends


@keras.saving.register_keras_serializable(package="kft")
class FollowingTokens(keras.layers.Layer):
    """Keep of the scores of all tokens what losses, figures and answers need.

    A score for each token of the vocabulary at each place takes so much memory that outputs of several
    batches cannot be held. These are two numbers for each place.

    Args:
        candidates: How many of the most probable tokens are told that may follow the whole text.
    """

    def __init__(self, candidates: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidates = candidates

    def call(self, inputs: Any) -> Any:
        """Return two numbers for each place, and for each candidate behind them.

        Args:
            inputs: Scores before the softmax `[batch, length, vocabulary]`, and the model's `token_ids`
                and `padding_mask`, `[batch, length]`.

        Returns:
            float32 `[batch, length + candidates, 2]`. Of a place the logarithm of the probability of the
            token that follows, and 1 if no other is more probable, else 0; 0 and -1 where nothing
            follows. Of a candidate its probability and its number, the most probable one first.
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
        told = ops.stack([ops.stop_gradient(values), ops.cast(numbers, "float32")], axis=-1)
        return ops.concatenate([places, told], axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """The shape `(batch, length + candidates, 2)`."""
        (batch, length, _), *_ = input_shape
        return (batch, None if length is None else length + self.candidates, 2)

    def get_config(self) -> dict:
        """The arguments, for Keras' serialisation."""
        return {**super().get_config(), "candidates": self.candidates}


class TokenCrossEntropy(keras.losses.Loss):
    """Cross-entropy of the tokens that count, the mean over those of a batch, in nats."""

    def __init__(self, name: str = "token_cross_entropy") -> None:
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of a batch, a single number; 0 if nothing counts."""
        counts, told = _counted(y_true, y_pred)
        return -ops.sum(counts * told[..., 0]) / ops.maximum(ops.sum(counts), 1.0)

    def get_config(self) -> dict:
        """The arguments, for Keras' serialisation."""
        return {"name": self.name}


class TokenAccuracy(keras.metrics.Mean):
    """Fraction of the tokens that count to which no other token is preferred."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take over a batch; tokens that do not count are left out."""
        counts, told = _counted(y_true, y_pred)
        return super().update_state(told[..., 1], sample_weight=counts)


def _shifted(values: Any) -> Any:
    """The value of the next place `[batch, length]`, 0 in the last one."""
    values = ops.cast(values, "int32")
    return ops.concatenate([values[:, 1:], ops.zeros_like(values[:, :1])], axis=1)


def _counted(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Which places count, as 0 and 1, and what is told of them."""
    return ops.cast(y_true[..., 0], "float32"), y_pred[:, : ops.shape(y_true)[1]]
