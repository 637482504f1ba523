"""The arguments of `Recipe.fit` as settings."""

from __future__ import annotations

from typing import Any

from kft.arguments import path_of
from kft.cache.settings import Cache
from kft.family.hooks import Family
from kft.family.policies import BestEpoch, Finish, Resume
from kft.family.settings import FitSettings, is_auto
from kft.stages.stage import checked_stages


def settings_of(recipe: Family, **arguments: Any) -> FitSettings:
    """Return the settings for the arguments of `Recipe.fit`, all of them besides the data.

    Args:
        recipe: The recipe.
        **arguments: The arguments, in the forms that `fit` accepts.

    Raises:
        InputError: If a value is out of its range, or two of them contradict each other.
    """
    best = BestEpoch.of(arguments.pop("restore_best"))
    stages, run_dir = arguments.pop("stages"), arguments.pop("run_dir")
    augment = arguments["augment"]
    return FitSettings(
        stages=() if stages is None else checked_stages(stages),
        run_dir=None if run_dir is None else path_of("run_dir", run_dir),
        restore_best=best.among,
        monitor=best.monitor,
        tolerance=best.tolerance,
        interpolate=best.interpolate,
        augmentation=recipe.augmentation(None if is_auto(augment) else augment),
        cache=Cache.of(arguments.pop("cache")),
        resume=Resume.of(arguments.pop("resume")),
        finish=Finish.of(arguments.pop("finish")),
        **arguments,
    )
