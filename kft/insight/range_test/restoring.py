"""Restoring a model and its recipe to the last bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import keras

from kft.model.values import put_back, values_of
from kft.runs.randomness import random_state, restore_random_state
from kft.stages.plan import kept_flags

if TYPE_CHECKING:
    from kft.family.hooks import Family


@contextlib.contextmanager
def restored(model: keras.Model, recipe: Family | None = None) -> Iterator[None]:
    """Restore everything that training a model on the same layers changes, when the block ends.

    Args:
        model: The model whose layers train.
        recipe: Its recipe, which learns from data.
    """
    saved = values_of(model.variables)
    generators = random_state()
    learnt = None if recipe is None else (recipe.classes, recipe.task, recipe.state())
    try:
        with kept_flags(model):
            yield
    finally:
        put_back(saved)
        restore_random_state(generators)
        if recipe is not None and learnt is not None:
            recipe.classes, recipe.task, state = learnt
            recipe.restore(state)
