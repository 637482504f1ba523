"""Putting a model and its recipe back as they were, to the last bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from kft.runs.randomness import random_state, restore_random_state
from kft.stages.plan import kept_flags

if TYPE_CHECKING:
    from kft.family.hooks import Family


def values(model: keras.Model) -> list[np.ndarray]:
    """Copies of all that layers keep: weights, BatchNorm statistics, states of seed generators.

    Copies: an array may share its memory with the variable that it came from.
    """
    return [np.array(keras.ops.convert_to_numpy(one), copy=True) for one in model.variables]


def put_back(model: keras.Model, saved: Sequence[np.ndarray]) -> None:
    """Assigns what `values` returned."""
    for variable, value in zip(model.variables, saved, strict=True):
        variable.assign(value)


@contextlib.contextmanager
def kept(model: keras.Model, recipe: Family | None = None) -> Iterator[None]:
    """Puts everything back that training a model on the same layers changes.

    Args:
        model: The model whose layers train.
        recipe: Its recipe, which learns from data.
    """
    saved = values(model)
    generators = random_state()
    learnt = None if recipe is None else (recipe.classes, recipe.state())
    try:
        with kept_flags(model):
            yield
    finally:
        put_back(model, saved)
        restore_random_state(generators)
        if recipe is not None and learnt is not None:
            recipe.classes = learnt[0]
            recipe.restore(learnt[1])
