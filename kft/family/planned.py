"""A fit whose arguments and data have been checked, before training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import keras

from kft.data.dataset_parts import sources
from kft.data.examples import Examples
from kft.data.joined import check_joins
from kft.data.streams import Stream
from kft.distribution.strategies import Strategy, resolve
from kft.errors import InputError
from kft.family import fit_data
from kft.family.directory import RunDirectory
from kft.family.hooks import Family
from kft.family.identity import identity_of
from kft.family.policies import Finish
from kft.family.settings import FitSettings, as_json
from kft.family.solving import check_solving
from kft.model.precision import policy_of
from kft.runs.places import FEATURES_PLACE, check_apart_from_data

Data = Examples | Stream


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedFit:
    """What a fit trains, on which data, and where it is saved.

    Attributes:
        recipe: The recipe.
        train: The training data.
        validation: The validation data; None if all data are used for training.
        settings: The arguments of `Recipe.fit`.
        strategy: The distribution strategy; None for one device.
        plan: Everything that affects what the fit computes, as JSON: equal plans give equal weights.
        directory: The run directory.
    """

    recipe: Family
    train: Data
    validation: Data | None
    settings: FitSettings
    strategy: Strategy | None
    plan: Mapping[str, Any]
    directory: RunDirectory

    @classmethod
    def of(cls, recipe: Family, train: Any, validation_data: Any, settings: FitSettings) -> Self:
        """Read the data and identify the run.

        Args:
            recipe: The recipe.
            train: The argument of `fit`.
            validation_data: The argument of `fit`.
            settings: The other arguments.

        Raises:
            InputError: If the data are wrong, or results would be written among them.
        """
        strategy = resolve(settings.distribution)
        places = {"run_dir": settings.run_dir, FEATURES_PLACE: settings.cache.path}
        check_apart_from_data(places, (train, validation_data))
        train, validation_data, note = sources(
            train, validation_data, recipe.modality, split=fit_data.is_fraction(validation_data)
        )
        training, validation = fit_data.read_both(
            recipe,
            train,
            validation_data,
            settings.seed,
            settings.on_bad_example,
            note,
            may_lack=True,
        )
        split = fit_data.is_fraction(validation_data)
        asked = settings.finish
        settings = settings.resolved(recipe, training, validation, split=split)
        if isinstance(training, Examples) and training.note:
            settings = dataclasses.replace(settings, rules=(training.note, *settings.rules))
        check_solving(recipe, training, settings.stages)
        _check_finish(recipe, asked, settings, training, validation)
        _check_views(recipe, settings)
        plan = {
            **identity_of(recipe, training, validation),
            **settings.identity(),
            "precision": policy_of(recipe.precision) or keras.config.dtype_policy().name,
        }
        directory = RunDirectory(
            settings.run_dir, as_json(plan), settings.resume.allow_changed_plan
        )
        return cls(recipe, training, validation, settings, strategy, directory.plan, directory)

    def is_finished(self) -> bool:
        """Return whether the run directory contains exactly this run, finished.

        Raises:
            InputError: If it contains another run.
        """
        return self.directory.path is not None and self.directory.is_finished()


def _check_views(recipe: Family, settings: FitSettings) -> None:
    if settings.cache.views and recipe.task.moves_with_images:
        raise InputError(
            f"`cache=kft.Cache(views={settings.cache.views})` keeps augmented images without their "
            f"{recipe.task.moves_with_images}, "
            f"which the task {recipe.task.name!r} has: leave it out, to augment anew in every epoch."
        )


def _check_finish(
    recipe: Family, asked: Finish, settings: FitSettings, train: Data, validation: Data | None
) -> None:
    if validation is None and asked.calibrate is True:
        raise InputError(
            f"`calibrate=True` needs validation data, but {train.source} has no example to spare for "
            "them: add examples, pass validation_data, or leave it out."
        )
    if settings.finish.refit:
        check_joins(train, validation, "leave out `refit=True`")
    if asked.calibrate is True and not recipe.task.calibrates(recipe.model):
        raise InputError(
            f"`calibrate=True` scales probabilities, but the task {recipe.task.name!r} answers without "
            "them, or by a threshold other than 0.5: leave it out."
        )
