"""The fast gradient sign method: the small change that raises the loss most, to first order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.insight.explain.gradients import InputGradient
from kft.insight.explain.parts import embeddings, logits

if TYPE_CHECKING:
    from kft.family.hooks import Family

STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)  # for values from 0 to 255
TEXT_STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.4)  # times the root mean square of the embeddings


class Attack:
    """An attack that changes each pixel of images by the same amount.

    Args:
        recipe: The recipe.
    """

    def __init__(self, recipe: Family) -> None:
        self._recipe = recipe
        before = logits(recipe.model)
        self._is_open = _is_open(recipe, before)
        self._gradient = InputGradient(keras.Model(recipe.model.input, before))

    def __call__(self, images: np.ndarray, targets: np.ndarray) -> Callable[[int], np.ndarray]:
        """Compute the direction in which the loss rises.

        Args:
            images: `(n, height, width, 3)`, 0 to 255.
            targets: Their targets.

        Returns:
            A function from a severity, 1 to 5, to the perturbed images.
        """
        scores = np.asarray(self._recipe.model.predict_on_batch(images))
        slopes = _slopes(self._recipe, scores, targets, self._is_open)
        direction = np.sign(self._gradient(images, slopes))
        return lambda severity: np.clip(
            images + STRENGTHS[severity - 1] * direction, 0, 255
        ).astype("float32")


class TextAttack:
    """An attack that changes each component of token embeddings by the same amount.

    No text has such embeddings: the result bounds what near-synonyms could do, and is not a text to
    show (Miyato 2017, https://arxiv.org/abs/1605.07725).

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
        """Compute the direction in which the loss rises.

        Args:
            inputs: The result of `recipe.load` for texts.
            targets: Their targets.

        Returns:
            A function from a severity, 1 to 5, to the model's outputs.
        """
        embedded = np.asarray(self._below.predict_on_batch(inputs["token_ids"]), "float32")
        others = [inputs[name] for name in self._names]
        scores = np.asarray(self._above.predict_on_batch([embedded, *others]))
        slopes = _slopes(self._recipe, scores, targets, self._is_open)
        tokens = np.asarray(inputs["padding_mask"], "float32")[..., None]
        direction = np.sign(self._gradient([embedded, *others], slopes)) * tokens
        # Computed per text, so that its perturbation does not depend on its batch.
        numbers = np.maximum(tokens.sum(axis=(1, 2), keepdims=True) * embedded.shape[-1], 1.0)
        unit = np.sqrt((embedded**2 * tokens).sum(axis=(1, 2), keepdims=True) / numbers)
        return lambda severity: np.asarray(
            self._above.predict_on_batch(
                [embedded + TEXT_STRENGTHS[severity - 1] * unit * direction, *others]
            )
        )


def _is_open(recipe: Family, before: Any) -> bool:
    """Return whether `before` precedes the last activation, or there is no activation."""
    return before is not recipe.model.outputs[0] or recipe.task.activation is None


def _slopes(recipe: Family, scores: np.ndarray, targets: Any, is_open: bool) -> np.ndarray:
    """Return the gradient of the loss with respect to the tensor of `logits`."""
    slopes = recipe.task.slopes(targets, scores)
    return slopes if is_open else slopes / np.maximum(scores * (1 - scores), 1e-6)
