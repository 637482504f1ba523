"""A check of the recipe that a function was given."""

from __future__ import annotations

from typing import Any

from kft.arguments import shown
from kft.errors import InputError
from kft.family.hooks import Family

__all__ = ["check_recipe"]


def check_recipe(recipe: Any, *, or_model: bool = False) -> None:
    """Check that an argument is a recipe, not its class, a model or a path.

    Args:
        recipe: The argument.
        or_model: Whether a Keras model would have been valid too, for the message.

    Raises:
        InputError: It is not a recipe.
    """
    if not isinstance(recipe, Family):
        name, other = ("recipe_or_model", ", or a Keras model") if or_model else ("recipe", "")
        raise InputError(
            f"`{name}={shown(recipe)}`: pass a recipe, such as kft.load('runs/photos'){other}."
        )
