"""The rule for a contrastive warm start: few texts of each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.data.examples import Examples
from kft.errors import InputError

CHOICES = ("auto", "contrastive", None)
_FEWEST, _MOST = 2, 6  # texts of a class, on average
_CLASSES = 3


def contrastive_rule(recipe: Any, train: Any, *, default_stages: bool) -> str | None:
    """Return why a fit begins with a contrastive warm start; None if it does not.

    `"auto"` uses it where it was found to help: with the default stages, for one label of at least
    three classes, and 2 to 6 training texts of each. It trains all weights, so not with adapters.

    Args:
        recipe: A `kft.recipe.text.TextRecipe`.
        train: The training data.
        default_stages: Whether the stages are the family's defaults.

    Raises:
        InputError: If the recipe asks for it, and the task or the data have no classes to contrast.
    """
    asked = recipe.few_shot == "contrastive"
    rows = None
    if recipe.task.needs == "vector" and isinstance(train, Examples):
        rows = recipe.task.balanced(train.targets)
    if rows is None:
        if asked:
            in_memory = isinstance(train, Examples)
            what = f"for the task {recipe.task.name!r}" if in_memory else "a stream"
            raise InputError(
                f"`few_shot='contrastive'` contrasts texts of different classes, which needs one label for "
                f"each text, and all of them at once, but {train.source} is {what}: leave it out."
            )
        return None
    classes = len(np.unique(rows))
    each = len(rows) / classes
    fits = default_stages and recipe.adapters is None and classes >= _CLASSES
    if not (asked or (recipe.few_shot == "auto" and fits and _FEWEST <= each <= _MOST)):
        return None
    return (
        f"A contrastive warm start precedes the stages (few_shot='contrastive'): "
        f"{'asked for' if asked else f'about {each:.0f} texts of each class'}."
    )
