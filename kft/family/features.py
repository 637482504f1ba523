"""The head's inputs for examples, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.family.hooks import Family
from kft.model.forward import Forward
from kft.report.progress import Progress


def head_inputs(
    recipe: Family, examples: Examples, batch_size: int = 32, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the head's inputs, `[examples, features]`, and the labels.

    Both are in the order of the examples.

    Args:
        recipe: The recipe; it does not learn from the examples.
        examples: What `Recipe.read` returned.
        batch_size: Examples per step.
        progress: Advanced by one for each step.
    """
    batches = recipe.batches(examples, batch_size=batch_size)
    features, labels = [], []
    for given, y in _extracted(recipe, batches):
        flat = [rows.reshape(len(rows), -1) for rows in given]
        features.append(np.concatenate(flat, axis=1))
        labels.append(y)
        if progress is not None:
            progress.advance()
    return _in_data_order(features, batches), _in_data_order(labels, batches)


def head_rows(recipe: Family, examples: Examples, batch_size: int) -> list[np.ndarray]:
    """Return the head's inputs, an array for each tensor, in the order of the examples.

    Args:
        recipe: The recipe.
        examples: What `Recipe.read` returned.
        batch_size: Examples per step.
    """
    batches = recipe.batches(examples, batch_size=batch_size)
    found = [given for given, _ in _extracted(recipe, batches)]
    return [_in_data_order(parts, batches) for parts in zip(*found, strict=True)]


def head_batches(
    recipe: Family, examples: Examples, batch_size: int
) -> Iterator[tuple[list[np.ndarray], Any]]:
    """Yield each batch's inputs of the head, an array for each tensor, and its targets.

    Batches of texts begin with the longest, so unlike `head_rows` this is not the order of the examples.

    Args:
        recipe: The recipe.
        examples: What `Recipe.read` returned.
        batch_size: Examples per step.
    """
    yield from _extracted(recipe, recipe.batches(examples, batch_size=batch_size))


def _extracted(recipe: Family, batches: Batches) -> Iterator[tuple[list[np.ndarray], Any]]:
    """Yield the head's inputs and the targets of each batch."""
    extractor = Forward(keras.Model(recipe.model.input, keras.tree.flatten(recipe.head_input)))
    for index in range(len(batches)):
        x, y, *_ = batches[index]
        yield keras.tree.flatten(extractor(x)), y


def _in_data_order(parts: Sequence[np.ndarray], batches: Batches) -> np.ndarray:
    """Return the rows of all batches in the order of the examples."""
    return np.concatenate(parts)[np.argsort(batches.order(batches.epoch))]
