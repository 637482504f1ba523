"""Further classes for a trained recipe: its weights in a model with a wider head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kft.arguments import shown
from kft.errors import InputError
from kft.family.hooks import Family

__all__ = ["take_weights", "with_more_classes"]


def with_more_classes(recipe: Family, names: Any) -> tuple[str, ...]:
    """Return the names of a recipe's classes, followed by new ones.

    Args:
        recipe: A trained recipe.
        names: The new names, or a single one.

    Raises:
        InputError: If there is none, a class exists already or is named twice, or the recipe's task has
            no classes to add to.
    """
    given = [names] if isinstance(names, str) else names
    if not isinstance(given, Sequence) or isinstance(given, bytes) or not given:
        raise InputError(
            f"`more_classes={shown(names)}`: pass the names of the new classes, such as ['truck']."
        )
    if not hasattr(recipe.task, "class_count") or recipe.classes is None:
        raise InputError(
            f"`more_classes={shown(names)}`, but the task {recipe.task.name!r} has no named classes to "
            "add others to: leave it out."
        )
    return tuple(recipe.task.checked_classes([*recipe.classes, *given], "`more_classes`"))


def take_weights(recipe: Family, trained: Family) -> None:
    """Copy the weights of a trained recipe into one with more classes.

    Weights of the new classes keep their initial values.

    Args:
        recipe: The recipe with more classes, the known ones first.
        trained: The trained recipe.

    Raises:
        InputError: If the models differ in more than their classes.
    """
    known, count = trained.task.class_count, recipe.task.class_count
    for weight, old in zip(recipe.model.weights, trained.model.weights, strict=True):
        value = keras.ops.convert_to_numpy(old)
        if weight.shape != old.shape:
            if (*old.shape[:-1], count) != tuple(weight.shape) or old.shape[-1] != known:
                raise InputError(
                    f"`more_classes`: the weight {weight.path} has the shape {tuple(old.shape)} for "
                    f"{known} classes and {tuple(weight.shape)} for {count}, which is no head with a "
                    "score for each class."
                )
            wider = np.array(keras.ops.convert_to_numpy(weight))
            wider[..., :known] = value
            value = wider
        weight.assign(value)
