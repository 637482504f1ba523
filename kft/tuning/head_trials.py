"""Trials that train the head alone, and can do so together on shared features."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kft.callbacks import RelativeEarlyStopping
from kft.data.examples import Examples
from kft.distribution import processes
from kft.distribution.strategies import resolve
from kft.family.hooks import Family
from kft.tasks.layers import DenseHead
from kft.tuning.parts import Part
from kft.tuning.sharing import SharedBackbone
from kft.tuning.space import TrialPlan
from kft.tuning.trials import RUN, is_held, read_trial, trial_folder

_RULES = (type(None), str, keras.callbacks.EarlyStopping, RelativeEarlyStopping)
# The methods of a family that joint training relies on.
_HOOKS = ("head", "build_head", "loss", "metrics", "model")


@dataclasses.dataclass(frozen=True, eq=False)
class HeadTrial:
    """A trial that trains the head alone.

    Attributes:
        number: Its number, counted from 1.
        hp: Its hyperparameters.
        plan: What it trains.
        folder: Its folder.
    """

    number: int
    hp: Any
    plan: TrialPlan
    folder: Path

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The hidden layers of its head; None for the recipe's."""
        hidden = self.plan.arguments.get("hidden")
        return None if hidden is None else tuple(hidden)

    @property
    def is_new(self) -> bool:
        """Whether no process has begun it."""
        begun = (self.folder / RUN).exists() or read_trial(self.folder) is not None
        return not begun and not is_held(self.folder)


def why_one_by_one(recipe: Family, settings: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """Return why the trials of a search cannot train together; empty if they can.

    Args:
        recipe: The recipe of the search.
        settings: The arguments of `Recipe.fit` that all trials share.
        parts: The data of each fit of a trial.
    """
    if len(parts) > 1:
        return "each trial is fitted once for every fold"
    rule = settings["early_stopping"]
    if type(rule) not in _RULES:
        return f"{type(rule).__name__} may look at more than the logs of an epoch"
    if settings["cache"] is False:
        return "cache=False keeps no features"
    if not all(isinstance(one, Examples) for one in (parts[0].train, parts[0].validation)):
        return "streams keep no features"
    if resolve(settings["distribution"]) is not None or processes.count() > 1:
        return "each trial trains on several devices"
    own = [name for name in _HOOKS if getattr(type(recipe), name) is not getattr(Family, name)]
    if not type(recipe).fit.__module__.startswith("kft."):
        own.append("fit")
    if own:
        return f"{type(recipe).__name__} has its own {own[0]}"
    task = type(recipe.task)
    if not (issubclass(task, DenseHead) and task.__module__.startswith("kft.")):
        return f"the head of the task {recipe.task.name!r} is more than Dense layers"
    return ""


def trains_head_alone(recipe: Family, plan: TrialPlan) -> bool:
    """Return whether a trial trains only the head, by gradient descent in a single stage.

    Args:
        recipe: The recipe of the search.
        plan: What the trial trains.
    """
    stage = plan.stages[0]
    return (
        len(plan.stages) == 1
        and stage.unfreeze == 0
        and not stage.solve
        and plan.augment is None
        and SharedBackbone.suits(recipe, plan.arguments)
    )


def alike(
    recipe: Family, trials_dir: Path, asked: Iterable[tuple[int, Any, TrialPlan]]
) -> list[HeadTrial]:
    """Return the first trial and those that can train with it; none if the first is not new.

    Args:
        recipe: The recipe of the search.
        trials_dir: The directory of the trials' folders.
        asked: The number, hyperparameters and plan of each trial, in order.
    """
    found: list[HeadTrial] = []
    for number, hp, plan in asked:
        trial = HeadTrial(number, hp, plan, trial_folder(trials_dir, number, hp.values))
        fits = trains_head_alone(recipe, plan) and (not found or trial.shape == found[0].shape)
        if fits and trial.is_new:
            found.append(trial)
        elif not found:
            return []
    return found
