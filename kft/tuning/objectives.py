"""What a search optimises."""

from __future__ import annotations

from typing import Any

import keras_tuner

from kft.arguments import shown
from kft.errors import InputError
from kft.family import Family


def objective_of(chosen: Any, recipe: Family) -> keras_tuner.Objective:
    """The objective as KerasTuner has it, with its direction.

    Args:
        chosen: `"val_"` and the name of a metric of the recipe or `loss`, or a
            `keras_tuner.Objective`.
        recipe: the recipe that is searched for.

    Raises:
        InputError: it is no validation metric of the recipe, or its direction is unknown.
    """
    name = getattr(chosen, "name", chosen)
    known = ["val_loss", *(f"val_{metric.name}" for metric in recipe.metrics())]
    if not isinstance(name, str) or name not in known:
        raise InputError(
            f"`objective={shown(name)}` is nothing that {type(recipe).__name__} is validated by: pass "
            f"{', '.join(map(repr, known))}."
        )
    if isinstance(chosen, keras_tuner.Objective):
        return chosen
    if name in ("val_loss", "val_rmse", "val_mae"):
        return keras_tuner.Objective(name, "min")
    if name == "val_accuracy":
        return keras_tuner.Objective(name, "max")
    raise InputError(
        f"`objective={name!r}`: whether more or less of it is better cannot be told; pass "
        f"keras_tuner.Objective({name!r}, 'max') or 'min'."
    )
