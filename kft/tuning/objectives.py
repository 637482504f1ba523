"""The objective of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras_tuner

from kft.arguments import shown
from kft.errors import InputError
from kft.family.hooks import Family


def objective_of(chosen: Any, recipe: Family) -> keras_tuner.Objective:
    """Return a KerasTuner objective, with its direction.

    Args:
        chosen: `"val_"` followed by `loss` or the name of a metric of the recipe, or a
            `keras_tuner.Objective`; None for the default of the recipe's task.
        recipe: The recipe of the search.

    Raises:
        InputError: If it is not a validation metric of the recipe, or its direction is unknown.
    """
    if chosen is None:
        return keras_tuner.Objective(*recipe.task.objective)
    name = getattr(chosen, "name", chosen)
    known = ["val_loss", *(f"val_{metric}" for metric in _metric_names(recipe.metrics()))]
    if not isinstance(name, str) or name not in known:
        raise InputError(
            f"`objective={shown(name)}` is not a validation figure of {type(recipe).__name__}: pass "
            f"{', '.join(map(repr, known))}."
        )
    if isinstance(chosen, keras_tuner.Objective):
        return chosen
    directions = {"loss": "min", **recipe.task.directions}
    direction = directions.get(name.removeprefix("val_"))
    if direction is None:
        raise InputError(
            f"`objective={name!r}`: it is not known whether larger or smaller is better; pass "
            f"keras_tuner.Objective({name!r}, 'max') or 'min'."
        )
    return keras_tuner.Objective(name, direction)


def _metric_names(metrics: Any) -> list[str]:
    """Return the names under which Keras logs metrics, prefixed by the output if there are several."""
    if isinstance(metrics, Mapping):
        return [f"{out}_{name}" for out, some in metrics.items() for name in _metric_names(some)]
    each = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    return [getattr(metric, "name", str(metric)) for metric in each]
