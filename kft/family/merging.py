"""A recipe with its adapters merged: the same answers, and as many weights as the backbone has."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TypeVar

from kft.family.description import write_description
from kft.family.hooks import Family
from kft.model.adapters import merged_values
from kft.model.graph import settle

_Recipe = TypeVar("_Recipe", bound=Family)


def merged(recipe: _Recipe) -> _Recipe:
    """Return a recipe without adapters that gives the same answers.

    Args:
        recipe: A recipe, which is not changed; one without adapters is returned itself.
    """
    if recipe.adapters is None:
        return recipe
    kept = {"adapters": None, "precision": recipe.precision, "task": recipe.task}
    with tempfile.TemporaryDirectory(prefix="kft-merged-") as name:
        folder = Path(name)
        recipe.save_files(folder)
        write_description(recipe, folder, weights_sha256="", plan=recipe.origin.get("plan"))
        found = type(recipe).rebuild({**recipe.arguments(), **kept}, folder)
        if recipe.classes is not None:
            found.name_classes(recipe.classes, "`classes`")
        found.restore(recipe.state())
        found.restore_files(folder)
    model = found.model
    for weight, value in zip(model.weights, merged_values(recipe.model), strict=True):
        weight.assign(value)
    settle(model)
    for name in ("is_fitted", "loaded_from", "distances", "raw_examples", "origin"):
        setattr(found, name, getattr(recipe, name))
    found.use_thresholds(recipe.thresholds)
    return found
