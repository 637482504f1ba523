"""Layers, metrics and AdamW for several heads at once: each weight has an axis for the heads.

The numbers of a head depend only on numbers of the same head, so that a head that diverges does not
affect the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kft.stages.schedules import WarmupSchedule


class StackedDense(keras.layers.Layer):
    """A Dense layer per head, for inputs `(batch, channels)` or `(batch, heads, channels)`.

    Args:
        layer: The layer that all heads start from.
        heads: The number of heads.
    """

    def __init__(self, layer: keras.layers.Dense, heads: int) -> None:
        super().__init__(name=f"stacked_{layer.name}")
        self.heads, self.activation = heads, layer.activation
        kernel, bias = (ops.convert_to_numpy(weight) for weight in (layer.kernel, layer.bias))
        self.kernel = self._repeated("kernel", kernel[:, None], axis=1)
        self.bias = self._repeated("bias", bias[None], axis=0)
        self.built = True

    def _repeated(self, name: str, value: np.ndarray, axis: int) -> keras.Variable:
        value = np.repeat(value, self.heads, axis)
        weight = self.add_weight(shape=value.shape, initializer="zeros", name=name)
        weight.assign(value)
        return weight

    def call(self, inputs: Any) -> Any:
        """Return `(batch, heads, units)`."""
        given = "bf" if len(inputs.shape) == 2 else "bnf"
        scores = ops.einsum(f"{given},fnu->bnu", inputs, self.kernel) + self.bias
        return scores if self.activation is None else self.activation(scores)


class StackedDropout(keras.layers.Layer):
    """Dropout at a rate per head, with the random numbers that each head's own layer would draw.

    Args:
        rates: The rate of each head.
        seed: The seed of all of them.
        name: The name of the layer that it replaces.
    """

    def __init__(self, rates: Sequence[float], seed: int, name: str) -> None:
        super().__init__(name=f"stacked_{name}")
        self.rates = [float(rate) for rate in rates]
        distinct = sorted({rate for rate in self.rates if rate})
        self.generators = [keras.random.SeedGenerator(seed) for _ in distinct]
        self._generator_of = dict(zip(distinct, self.generators, strict=True))
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return inputs with dropout, with a new axis for the heads if their rates differ."""
        if not training or not self.generators:
            return inputs
        shared = len(inputs.shape) == 2
        ones = ops.ones_like(inputs if shared else inputs[:, 0])
        masks = {
            rate: keras.random.dropout(ones, rate, seed=generator)
            for rate, generator in self._generator_of.items()
        }
        first = self.rates[0]
        if all(rate == first for rate in self.rates):
            return inputs * (masks[first] if shared else masks[first][:, None])
        each = ops.stack([masks.get(rate, ones) for rate in self.rates], axis=1)
        return (inputs[:, None] if shared else inputs) * each


class StackedMetric(keras.metrics.Metric):
    """A Keras metric per head.

    Args:
        metric: The metric.
        heads: The number of heads.
        scores: Computes the metric's `y_pred` from the outputs of one head's last Dense layer.
    """

    def __init__(
        self, metric: keras.metrics.Metric, heads: int, scores: Callable[[Any], Any]
    ) -> None:
        super().__init__(name=metric.name)
        # Only its methods: Keras would track the variables of a nested metric as this one's.
        self._update, self._result = metric.stateless_update_state, metric.stateless_result
        self._reset, self._scores = metric.stateless_reset_state, scores
        self._states = [
            self.add_variable((heads, *one.shape), "zeros", dtype=one.dtype, name=f"state_{index}")
            for index, one in enumerate(metric.variables)
        ]
        self.reset_state()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update the state with a batch; `y_pred` is `(batch, heads, units)`."""

        def updated(given: Any) -> Any:
            *state, outputs = given
            return self._update(list(state), y_true, self._scores(outputs))

        states = [state.value for state in self._states]
        found = ops.vectorized_map(updated, [*states, ops.swapaxes(y_pred, 0, 1)])
        for state, value in zip(self._states, found, strict=True):
            state.assign(value)

    def result(self) -> Any:
        """Return the metric of each head, `(heads,)`."""
        states = [state.value for state in self._states]
        return ops.vectorized_map(lambda state: self._result(list(state)), states)

    def reset_state(self) -> None:
        """Reset the state of each head."""
        values = self._reset()
        for state, value in zip(self._states, values, strict=True):
            state.assign(ops.broadcast_to(ops.convert_to_tensor(value), state.shape))


class MeanOfEach(keras.metrics.Metric):
    """The mean over examples of a value per head.

    Args:
        heads: The number of heads.
        name: Its name in the logs.
    """

    def __init__(self, heads: int, name: str) -> None:
        super().__init__(name=name)
        self.total = self.add_variable((heads,), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, examples: Any) -> None:
        """Add the means `(heads,)` over a number of examples."""
        examples = ops.cast(examples, self.dtype)
        self.total.assign_add(ops.cast(values, self.dtype) * examples)
        self.count.assign_add(examples)

    def result(self) -> Any:
        """Return the means, `(heads,)`."""
        return ops.divide_no_nan(self.total, self.count)


@keras.saving.register_keras_serializable("kft")
class StackedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rates of the heads' `WarmupSchedule`s, `(heads, 1)`.

    Args:
        schedules: The schedules of the heads, all of which begin at step 0.
    """

    def __init__(self, schedules: Sequence[WarmupSchedule]) -> None:
        self.schedules = list(schedules)

    def __call__(self, step: Any) -> Any:
        """Return the rates of the step with index `step`."""
        done = ops.cast(step, "float32")
        peak, warmup = self._column("peak"), self._column("warmup_steps")
        total = self._column("total_steps")
        progress = ops.clip((done - warmup) / ops.maximum(total - warmup, 1.0), 0.0, 1.0)
        left = ops.where(self._decays_by("linear"), 1.0 - progress, ops.ones_like(progress))
        falling = 0.5 * (1.0 + ops.cos(math.pi * progress))
        left = ops.where(self._decays_by("cosine"), falling, left)
        rising = (done + 1.0) / ops.maximum(warmup, 1.0)
        return peak * ops.where(done < warmup, rising, left)

    def _column(self, name: str) -> Any:
        values = [[getattr(one, name) or 0.0] for one in self.schedules]
        return ops.convert_to_tensor(np.array(values, "float32"))

    def _decays_by(self, decay: str) -> Any:
        return ops.convert_to_tensor(np.array([[one.decay == decay] for one in self.schedules]))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, with the config of each schedule."""
        return {"schedules": [one.get_config() for one in self.schedules]}


class StackedAdamW(keras.optimizers.Optimizer):
    """AdamW with a rate and a weight decay per head; biases do not decay.

    Keras' own has only one of each. This one takes the same steps, with the same defaults. Once it is
    built, `moves` is 1 for each head that trains, and 0 for one that does not.

    Args:
        schedule: The rates.
        weight_decays: The weight decay of each head.
    """

    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7

    def __init__(self, schedule: StackedSchedule, weight_decays: Sequence[float]) -> None:
        super().__init__(learning_rate=schedule, name="stacked_adamw")
        self._decays = np.array([[decay] for decay in weight_decays], "float32")

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Create the moments."""
        if self.built:
            return
        super().build(variables)
        shape = self._decays.shape
        self.moves = self.add_variable(shape, initializer="ones", name="moves")
        self._moments = [
            [self.add_variable_from_reference(one, name=name) for name in ("momentum", "velocity")]
            for one in variables
        ]

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Update a kernel `(channels, heads, units)` or a bias `(heads, units)`."""
        # Keras (3.15.1) has no public index of `variable`, which is a tf.Variable on TensorFlow.
        momentum, velocity = self._moments[self._get_variable_index(variable)]
        step = ops.cast(self.iterations + 1, variable.dtype)
        unbiased = ops.sqrt(1.0 - ops.power(self.beta_2, step))
        learning_rate = learning_rate * ops.convert_to_tensor(self.moves)
        rate = learning_rate * unbiased / (1.0 - ops.power(self.beta_1, step))
        self.assign_add(momentum, (gradient - momentum) * (1.0 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1.0 - self.beta_2))
        change = momentum * rate / (ops.sqrt(velocity) + self.epsilon)
        if len(variable.shape) == 3:
            decays = ops.convert_to_tensor(self._decays) * learning_rate
            change = change + variable * decays
        self.assign_sub(variable, change)

    def get_config(self) -> dict[str, Any]:
        """Return everything that affects its steps, to identify a fit that resumes."""
        return {**super().get_config(), "weight_decays": self._decays[:, 0].tolist()}
