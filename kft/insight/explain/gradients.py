"""Gradients with respect to a model's input."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kft.backends import backend


class InputGradient:
    """The gradient of a model's outputs with respect to its input, on any backend.

    Dropout is off, BatchNorm uses its statistics, and the model does not change.

    Args:
        model: A model with an input, or a list of them, and one output.

    Example:

    ```python
    gradient = InputGradient(model)
    gradient(images, np.eye(10)[labels])  # of each image's own class
    ```
    """

    def __init__(self, model: keras.Model) -> None:
        self._gradient = backend().input_gradient(model)

    def __call__(self, inputs: Any, weights: np.ndarray) -> np.ndarray:
        """Return the gradient of `sum(weights * outputs)` with respect to the first input.

        Args:
            inputs: An array, or a list of arrays.
            weights: The weight of each output, in the shape of the outputs.

        Returns:
            A float32 array in the shape of the first input.
        """
        first, *rest = inputs if isinstance(inputs, list) else [inputs]
        first = np.asarray(first, "float32")
        weights = np.asarray(weights, "float32")
        return self._gradient(first, rest, weights)
