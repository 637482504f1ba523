"""What the head of a recipe gets of examples, computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kft.data.examples import Examples
from kft.family.hooks import Family
from kft.model.forward import Forward
from kft.report.progress import Progress


def head_inputs(
    recipe: Family, examples: Examples, batch_size: int = 32, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the head of a recipe gets as it is, `[examples, features]`, and the labels.

    Args:
        recipe: The recipe, which learns nothing from the examples.
        examples: What `Recipe.read` returned.
        batch_size: Examples per step.
        progress: Is told of each step.
    """
    features, labels = [], []
    for given, y in head_batches(recipe, examples, batch_size):
        flat = [rows.reshape(len(rows), -1) for rows in given]
        features.append(np.concatenate(flat, axis=1))
        labels.append(y)
        if progress is not None:
            progress.advance()
    return np.concatenate(features), np.concatenate(labels)


def head_batches(
    recipe: Family, examples: Examples, batch_size: int
) -> Iterator[tuple[list[np.ndarray], Any]]:
    """Yield batch by batch what the head of a recipe gets, an array for each tensor, and the targets.

    Args:
        recipe: The recipe.
        examples: What `Recipe.read` returned.
        batch_size: Examples per step.
    """
    extractor = Forward(keras.Model(recipe.model.input, keras.tree.flatten(recipe.head_input)))
    batches = recipe.batches(examples, batch_size=batch_size)
    for index in range(len(batches)):
        x, y, *_ = batches[index]
        yield keras.tree.flatten(extractor(x)), y
