"""Class names that a recipe takes from data without being trained on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from kft.data.examples import Examples
from kft.data.streams import Stream
from kft.family.hooks import Family

__all__ = ["named_as"]


@contextlib.contextmanager
def named_as(recipe: Family, data: Examples | Stream) -> Iterator[None]:
    """Give a recipe the class names of data; one that is not trained forgets them again.

    Args:
        recipe: The recipe.
        data: The data.

    Raises:
        InputError: If the names do not suit the recipe.
    """
    before = recipe.classes, recipe.task
    recipe.name_classes(data.classes, data.source)
    try:
        yield
    finally:
        if not recipe.is_fitted:  # it learns its classes in training
            recipe.classes, recipe.task = before
