"""Several heads that train together on the same features, in one pass over the data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kft.model import graph
from kft.stages.schedules import WarmupSchedule
from kft.training.stacked_layers import (
    MeanOfEach,
    StackedAdamW,
    StackedDense,
    StackedDropout,
    StackedMetric,
    StackedSchedule,
)

LOSSES = "each_loss"  # the name in the logs of what `loss` is for a single head
_PASSING = (keras.layers.Activation, keras.layers.Rescaling)
_PENALTIES = (
    *("kernel_regularizer", "bias_regularizer", "activity_regularizer"),
    *("kernel_constraint", "bias_constraint"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadSettings:
    """The settings of one of several heads.

    Attributes:
        schedule: Its learning rate schedule.
        epochs: The maximum number of epochs.
        weight_decay: AdamW's weight decay.
        dropout: The rate of its Dropout layers.
        loss: Its loss.
    """

    schedule: WarmupSchedule
    epochs: int
    weight_decay: float
    dropout: float
    loss: keras.losses.Loss


class StackedHeads(keras.Model):
    """Heads that start from the same weights and train together.

    The outputs are those of the last Dense layers, `(batch, heads, units)`. The layers after them are
    applied to each head as part of its loss: on TensorFlow, Keras (3.15.1) computes a cross-entropy
    differently if the scores come straight from a softmax. The heads share only the pass over the
    features: the loss is the sum of theirs, so that the gradient of each is that of its own loss.

    Args:
        chain: The layers of the head that all start from, as returned by `chain_of`.
        settings: The settings of each head.
        metrics: New metrics, such as a task's.
    """

    def __init__(
        self,
        chain: Sequence[keras.layers.Layer],
        settings: Sequence[HeadSettings],
        metrics: Sequence[keras.metrics.Metric],
    ) -> None:
        super().__init__(name="stacked_heads")
        self.heads = len(settings)
        self.settings = list(settings)
        last = max(place for place, layer in enumerate(chain) if layer.weights)
        self.chain = [self._stacked(layer) for layer in chain[: last + 1]]
        self.tail = list(chain[last + 1 :])
        self.dense = [layer for layer in self.chain if isinstance(layer, StackedDense)]
        self.each_loss = MeanOfEach(self.heads, LOSSES)
        self.each_metric = [StackedMetric(metric, self.heads, self.scores) for metric in metrics]
        self._losses_of = _alike([one.loss for one in settings])
        self.built = True

    def _stacked(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.Dropout):
            return StackedDropout([one.dropout for one in self.settings], layer.seed, layer.name)
        return StackedDense(layer, self.heads) if isinstance(layer, keras.layers.Dense) else layer

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the outputs of the last Dense layers."""
        x = inputs
        for layer in self.chain:
            x = layer(x, training=training) if isinstance(layer, StackedDropout) else layer(x)
        return x

    def scores(self, outputs: Any) -> Any:
        """Return the scores of one head from the outputs of its last Dense layer."""
        for layer in self.tail:
            outputs = layer(outputs)
        return outputs

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of the heads' losses, and record each of them."""
        by_head = ops.swapaxes(y_pred, 0, 1)
        parts = []
        for loss, heads in self._losses_of:

            def of_one(outputs: Any, loss: keras.losses.Loss = loss) -> Any:
                return loss(y, self.scores(outputs), sample_weight=sample_weight)

            chosen = by_head if len(heads) == self.heads else ops.take(by_head, heads, axis=0)
            parts.append(ops.vectorized_map(of_one, chosen))
        order = np.argsort([head for _, heads in self._losses_of for head in heads])
        each = parts[0] if len(parts) == 1 else ops.take(ops.concatenate(parts), order)
        self.each_loss.update_state(each, ops.shape(y_pred)[0])
        return ops.sum(each)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Return the metrics of all heads, which like those of a recipe ignore sample weights."""
        for metric in self.each_metric:
            metric.update_state(y, y_pred)
        return self.get_metrics_result()

    def compile_together(self, jit_compile: bool | str) -> None:
        """Compile with the optimizer of all heads.

        Args:
            jit_compile: As for `keras.Model.compile`.
        """
        schedule = StackedSchedule([one.schedule for one in self.settings])
        optimizer = StackedAdamW(schedule, [one.weight_decay for one in self.settings])
        optimizer.build(self.trainable_variables)
        self.compile(optimizer, jit_compile=jit_compile)

    def values(self, head: int) -> list[np.ndarray]:
        """Return the weights of one head, in the order of those that it started from.

        Args:
            head: The index of the head.
        """
        found = []
        for layer in self.dense:
            kernel, bias = (ops.convert_to_numpy(weight) for weight in (layer.kernel, layer.bias))
            found += [np.array(kernel[:, head]), np.array(bias[head])]
        return found

    def silence(self, head: int) -> None:
        """Set a head to zero and stop its training, after its loss was not finite.

        A commit of the fit requires that all numbers are finite, including those of metrics.
        """
        for variable in (*self.trainable_variables, *self.optimizer.variables):
            if variable.shape[-2:-1] == (self.heads,) and variable is not self.optimizer.moves:
                value = np.array(ops.convert_to_numpy(variable))
                value[..., head, :] = 0.0
                variable.assign(value)
        moves = np.array(ops.convert_to_numpy(self.optimizer.moves))
        moves[head] = 0.0
        self.optimizer.moves.assign(moves)
        for variable in self.metrics_variables:
            value = ops.convert_to_numpy(variable)
            variable.assign(np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0))


def chain_of(suffix: keras.Model) -> list[keras.layers.Layer] | None:
    """Return the layers of a head in order if it can be stacked; None if it cannot.

    Args:
        suffix: The model on the features. It can be stacked if it is a chain of Dense, Dropout,
            Activation and Rescaling layers on a vector per example.
    """
    if len(suffix.inputs) != 1 or len(suffix.outputs) != 1 or len(suffix.inputs[0].shape) != 2:
        return None
    tensor, chain = suffix.inputs[0], []
    for call in graph.outer_calls(suffix):
        if not call.parents:
            continue  # the input
        if len(call.inputs) != 1 or call.inputs[0] is not tensor or not _stacks(call.operation):
            return None
        chain.append(call.operation)
        (tensor,) = call.outputs
    is_whole = tensor is suffix.outputs[0] and any(layer.weights for layer in chain)
    return chain if is_whole else None


def _stacks(layer: keras.Operation) -> bool:
    if not isinstance(layer, keras.layers.Layer) or layer.dtype_policy.name != "float32":
        return False
    if type(layer) is keras.layers.Dense:
        plain = all(getattr(layer, name) is None for name in _PENALTIES)
        return plain and layer.use_bias and not layer.lora_enabled
    if type(layer) is keras.layers.Dropout:
        return layer.noise_shape is None and layer.seed is not None
    return type(layer) in _PASSING


def _alike(losses: Sequence[keras.losses.Loss]) -> list[tuple[keras.losses.Loss, list[int]]]:
    """Return each distinct loss with the heads that have it."""
    found: dict[str, tuple[keras.losses.Loss, list[int]]] = {}
    for head, loss in enumerate(losses):
        key = json.dumps([type(loss).__qualname__, loss.get_config()], sort_keys=True, default=repr)
        found.setdefault(key, (loss, []))[1].append(head)
    return list(found.values())
