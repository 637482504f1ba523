"""The fast gradient sign method: the smallest change that hurts most, to first order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np

from kft.explain.gradients import InputGradient
from kft.explain.parts import logits

if TYPE_CHECKING:
    from kft.recipe import Recipe

STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)  # of values from 0 to 255


class Attack:
    """Moves images against a recipe, each pixel by the same amount.

    Args:
        recipe: The recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        before = logits(recipe.model)
        self._is_open = before is not recipe.model.outputs[0] or recipe.task == "regression"
        self._gradient = InputGradient(keras.Model(recipe.model.input, before))

    def __call__(self, images: np.ndarray, targets: np.ndarray) -> Callable[[int], np.ndarray]:
        """Finds the direction in which the loss rises.

        Args:
            images: `(n, height, width, 3)`, 0 to 255.
            targets: What the data say of them.

        Returns:
            From a severity, 1 to 5, to the images moved by it.
        """
        scores = np.asarray(self._recipe.model.predict_on_batch(images))
        wanted = np.asarray(targets, "float32")
        if self._recipe.task == "single_label":
            wanted = np.eye(scores.shape[1], dtype="float32")[np.asarray(targets, int)]
        slopes = scores - wanted.reshape(scores.shape)  # of cross-entropy and of squares alike
        if not self._is_open:
            slopes = slopes / np.maximum(scores * (1 - scores), 1e-6)
        direction = np.sign(self._gradient(images, slopes))
        return lambda severity: np.clip(
            images + STRENGTHS[severity - 1] * direction, 0, 255
        ).astype("float32")
