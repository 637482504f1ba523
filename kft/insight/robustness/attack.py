"""The fast gradient sign method: the smallest change that hurts most, to first order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.insight.explain.gradients import InputGradient
from kft.insight.explain.parts import embeddings, logits

if TYPE_CHECKING:
    from kft.family.hooks import Family

STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)  # of values from 0 to 255
TEXT_STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.4)  # of the root mean square of the embeddings


class Attack:
    """Moves images against a recipe, each pixel by the same amount.

    Args:
        recipe: The recipe.
    """

    def __init__(self, recipe: Family) -> None:
        self._recipe = recipe
        before = logits(recipe.model)
        self._is_open = _is_open(recipe, before)
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
        slopes = _slopes(self._recipe, scores, targets, self._is_open)
        direction = np.sign(self._gradient(images, slopes))
        return lambda severity: np.clip(
            images + STRENGTHS[severity - 1] * direction, 0, 255
        ).astype("float32")


class TextAttack:
    """Moves the embeddings of tokens against a recipe, each number by the same amount.

    No text has such embeddings: it is a bound for what words of nearly the same meaning could do, not
    a text to show (Miyato 2017, https://arxiv.org/abs/1605.07725).

    Args:
        recipe: A recipe for texts.

    Raises:
        InputError: If its model has no embedding of tokens.
    """

    def __init__(self, recipe: Family) -> None:
        self._recipe = recipe
        self._below, self._above, self._names = embeddings(recipe.model)
        before = logits(recipe.model)
        self._is_open = _is_open(recipe, before)
        self._gradient = InputGradient(embeddings(recipe.model, before)[1])

    def __call__(
        self, inputs: dict[str, np.ndarray], targets: np.ndarray
    ) -> Callable[[int], np.ndarray]:
        """Finds the direction in which the loss rises.

        Args:
            inputs: What `recipe.load` made of texts.
            targets: What the data say of them.

        Returns:
            From a severity, 1 to 5, to what the model says then.
        """
        embedded = np.asarray(self._below.predict_on_batch(inputs["token_ids"]), "float32")
        others = [inputs[name] for name in self._names]
        scores = np.asarray(self._above.predict_on_batch([embedded, *others]))
        slopes = _slopes(self._recipe, scores, targets, self._is_open)
        tokens = np.asarray(inputs["padding_mask"], "float32")[..., None]
        direction = np.sign(self._gradient([embedded, *others], slopes)) * tokens
        # Of each text by itself, so that what it becomes does not hang on its batch.
        numbers = np.maximum(tokens.sum(axis=(1, 2), keepdims=True) * embedded.shape[-1], 1.0)
        unit = np.sqrt((embedded**2 * tokens).sum(axis=(1, 2), keepdims=True) / numbers)
        return lambda severity: np.asarray(
            self._above.predict_on_batch(
                [embedded + TEXT_STRENGTHS[severity - 1] * unit * direction, *others]
            )
        )


def _is_open(recipe: Family, before: Any) -> bool:
    """Whether the gradients are those in front of the last activation, or there is none."""
    return before is not recipe.model.outputs[0] or recipe.task.activation is None


def _slopes(recipe: Family, scores: np.ndarray, targets: Any, is_open: bool) -> np.ndarray:
    """The gradient of the loss with respect to what is in front of the last activation."""
    slopes = recipe.task.slopes(targets, scores)
    return slopes if is_open else slopes / np.maximum(scores * (1 - scores), 1e-6)
