"""The plan of a fit on some data, without training."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from kft.arguments.calls import check_call, checked_call
from kft.cache.store import opened_store
from kft.family.fit_arguments import settings_of
from kft.family.fit_data import is_fraction
from kft.family.planned import PlannedFit
from kft.family.training_pass import prepared, training_pass
from kft.insight.given import check_recipe

if TYPE_CHECKING:
    from kft.family.hooks import Family
    from kft.stages.table import PlanTable

__all__ = ["plan_fit"]


@checked_call
def plan_fit(recipe: Family, data: Any, **settings: Any) -> PlanTable:
    """Return the plan that `fit` would print for the same arguments, without training.

    The data are read and checked, validation data are split off, and stages, epochs, the batch size and
    the use of the cache are chosen from them. The recipe does not change, and nothing is written.

    Args:
        recipe: The recipe. The plan is for one with its arguments and the pretrained weights.
        data: As `train` of `fit`.
        **settings: Other arguments of `fit`. A `run_dir` is not written to.

    Returns:
        The table of the stages, with a line for each choice that the data decided.

    Raises:
        InputError: If an argument or the data are wrong, as `fit` would raise it.

    Example:

    ```python
    print(kft.plan_fit(MobileNetRecipe("MobileNetV2", num_classes=2), "photos"))
    ```
    """
    check_recipe(recipe)
    check_call(recipe.fit, (data,), settings)
    bound = inspect.signature(recipe.fit).bind(data, **settings)
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    train, validation_data = arguments.pop("train"), arguments.pop("validation_data")
    is_fraction(validation_data)
    own = recipe.pretrained()
    planned = PlannedFit.of(own, train, validation_data, settings_of(own, **arguments))
    planned.is_finished()  # raises if the directory belongs to another plan
    with (
        opened_store(dtype=planned.settings.cache.dtype) as store,
        training_pass(planned, store, prepared(planned)) as fit,
    ):
        fit.cached_stages = fit.decide()
        return fit.table()
