"""Gradients with respect to a model's input: the only place here that knows the backends."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class InputGradient:
    """The gradient of a model's outputs with respect to its input, on any backend.

    Dropout is off and BatchNorm uses its statistics; nothing of the model changes.

    Args:
        model: A model with an input, or a list of them, and one output.

    Example:

    ```python
    gradient = InputGradient(model)
    gradient(images, np.eye(10)[labels])  # of each image's own class
    ```
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._compiled: Any = None

    def __call__(self, inputs: Any, weights: np.ndarray) -> np.ndarray:
        """The gradient of `sum(weights * outputs)` with respect to the first input.

        Args:
            inputs: An array, or a list of arrays.
            weights: As the outputs, which says what is differentiated.

        Returns:
            An array like the first input, float32.
        """
        first, *rest = inputs if isinstance(inputs, list) else [inputs]
        first = np.asarray(first, "float32")
        weights = np.asarray(weights, "float32")
        by_backend = {
            "jax": self._by_jax,
            "tensorflow": self._by_tensorflow,
            "torch": self._by_torch,
        }
        return by_backend[keras.backend.backend()](first, rest, weights)

    def _by_tensorflow(self, first: np.ndarray, rest: list, weights: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        def gradient(first: Any, rest: Any, weights: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(first)
                outputs = self._model(_structure(first, rest), training=False)
                value = tf.reduce_sum(tf.cast(outputs, "float32") * weights)
            return tape.gradient(value, first)

        if self._compiled is None:
            self._compiled = tf.function(gradient, autograph=False, reduce_retracing=True)
        others = [tf.convert_to_tensor(one) for one in rest]
        return self._compiled(tf.constant(first), others, tf.constant(weights)).numpy()

    def _by_torch(self, first: np.ndarray, rest: list, weights: np.ndarray) -> np.ndarray:
        import torch

        variable = keras.ops.convert_to_tensor(first).detach().requires_grad_()
        others = [keras.ops.convert_to_tensor(one) for one in rest]
        outputs = self._model(_structure(variable, others), training=False)
        value = (outputs.float() * keras.ops.convert_to_tensor(weights)).sum()
        (gradient,) = torch.autograd.grad(value, variable)
        return gradient.detach().cpu().numpy()

    def _by_jax(self, first: np.ndarray, rest: list, weights: np.ndarray) -> np.ndarray:
        import jax

        def value(first: Any, rest: Any, weights: Any, trained: Any, others: Any) -> Any:
            inputs = _structure(first, rest)
            outputs, _ = self._model.stateless_call(trained, others, inputs, training=False)
            return (outputs.astype("float32") * weights).sum()

        if self._compiled is None:
            self._compiled = jax.jit(jax.grad(value))
        trained = [variable.value for variable in self._model.trainable_variables]
        others = [variable.value for variable in self._model.non_trainable_variables]
        return np.asarray(self._compiled(first, rest, weights, trained, others))


def _structure(first: Any, rest: list) -> Any:
    return [first, *rest] if rest else first
