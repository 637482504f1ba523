"""What a search optimises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras_tuner

from kft.arguments import shown
from kft.errors import InputError
from kft.family.hooks import Family


def objective_of(chosen: Any, recipe: Family) -> keras_tuner.Objective:
    """Return the objective as KerasTuner has it, with its direction.

    Args:
        chosen: `"val_"` and the name of a metric of the recipe or `loss`, or a
            `keras_tuner.Objective`; None for what the recipe's task is judged by.
        recipe: The recipe that is searched for.

    Raises:
        InputError: If it is no validation metric of the recipe, or its direction is unknown.
    """
    if chosen is None:
        return keras_tuner.Objective(*recipe.task.objective)
    name = getattr(chosen, "name", chosen)
    known = ["val_loss", *(f"val_{metric}" for metric in _metric_names(recipe.metrics()))]
    if not isinstance(name, str) or name not in known:
        raise InputError(
            f"`objective={shown(name)}` is nothing that {type(recipe).__name__} is validated by: pass "
            f"{', '.join(map(repr, known))}."
        )
    if isinstance(chosen, keras_tuner.Objective):
        return chosen
    directions = {"loss": "min", **recipe.task.directions}
    direction = directions.get(name.removeprefix("val_"))
    if direction is None:
        raise InputError(
            f"`objective={name!r}`: whether more or less of it is better cannot be told; pass "
            f"keras_tuner.Objective({name!r}, 'max') or 'min'."
        )
    return keras_tuner.Objective(name, direction)


def _metric_names(metrics: Any) -> list[str]:
    """The names that Keras logs metrics under; of several outputs the output's name comes first."""
    if isinstance(metrics, Mapping):
        return [f"{out}_{name}" for out, some in metrics.items() for name in _metric_names(some)]
    each = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    return [getattr(metric, "name", str(metric)) for metric in each]
