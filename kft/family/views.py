"""Outputs averaged over augmented views of the inputs (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.arguments import check_whole
from kft.errors import InputError
from kft.model.forward import Forward

if TYPE_CHECKING:
    from kft.family.hooks import Family

__all__ = ["averaged", "check_views"]


def check_views(recipe: Family, views: int) -> None:
    """Check a number of views, and that the recipe can make more than one.

    Args:
        recipe: A recipe.
        views: As for `averaged`.

    Raises:
        InputError: If it is no positive whole number, or larger than 1 for a recipe without an
            augmentation of its own, or a task whose answers depend on places in the input.
    """
    check_whole("views", views, "views")
    if views == 1:
        return
    if recipe.usual_augmentation is None:
        raise InputError(
            f"`views={views}` averages over augmented inputs, but {type(recipe).__name__} has no "
            "augmentation that is usual for them: leave it out."
        )
    if not recipe.task.augmentable or recipe.task.moves_with_images:
        raise InputError(
            f"`views={views}` averages over augmented inputs, but the answers of the task "
            f"{recipe.task.name!r} depend on places in them, which an augmentation moves: leave it out."
        )


def averaged(recipe: Family, views: int = 1, seed: int = 0) -> Callable[[Any], Any]:
    """Return a function from a batch of inputs to the outputs of the recipe's model, as NumPy arrays.

    The views of an input are the input itself and versions of it by the recipe's usual augmentation. An
    output is the mean over all views: of probabilities for classes, of numbers in regression.

    Args:
        recipe: A recipe that `check_views` accepted.
        views: The number of views of each input. Defaults to 1, the input alone.
        seed: Seed of the augmentation, which also depends on the position of the batch and of the
            input in it.
    """
    forward = Forward(recipe.model)
    if views == 1:
        return forward
    augment = recipe.augmentation(recipe.usual_augmentation)
    assert augment is not None
    calls = 0

    def mean(x: Any) -> Any:
        nonlocal calls
        count = len(keras.tree.flatten(x)[0])
        targets = np.zeros(count, np.float32)
        total = forward(x)
        for view in range(1, views):
            moved, _ = augment(x, targets, seed=(seed, view, calls))
            total = keras.tree.map_structure(np.add, total, forward(moved))
        calls += 1
        return keras.tree.map_structure(lambda output: output / np.float32(views), total)

    return mean
