"""A staged fine-tune as a KerasTuner `HyperModel`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_tuner

from kft.errors import InputError
from kft.family.hooks import Family
from kft.family.policies import BestEpoch
from kft.family.run import Run
from kft.stages.lengths import trained_head
from kft.stages.stage import Stage, checked_stages
from kft.tuning.objectives import objective_of
from kft.tuning.sharing import SharedBackbone
from kft.tuning.space import TrialPlan, declare, plan_trial, within


class StagedHyperModel(keras_tuner.HyperModel):
    """A staged fit of a recipe, with hyperparameters for its stages and arguments.

    It works with any tuner and oracle of KerasTuner: a trial is a single staged fit, and its score
    is that of the best epoch of all stages. `Recipe.tune` searches with it, shares frozen features
    between trials, and resumes a search that was killed.

    Args:
        recipe: The recipe to tune; each trial builds one like it from the pretrained weights.
        space: A function of `hp` that declares hyperparameters with KerasTuner's methods, such as
            `hp.Float("backbone_lr", 1e-5, 1e-3, sampling="log")`, or a
            `keras_tuner.HyperParameters`. The names `head_lr`, `backbone_lr`, `unfreeze`,
            `layer_decay`, `warmup` change the stages, `augment` is a preset or `"none"`, and every
            other name is an argument of the recipe. A function may also build and return the stages
            itself, and then use any names. Defaults to `kft.tuning.default_space`.
        stages: The stages that the values change: `head_lr` applies to those of the head alone, the
            others to the rest; `unfreeze` replaces the rest by one stage of that depth. Defaults to
            the recipe's own.
        objective: The name of a validation metric, or a `keras_tuner.Objective`. The search
            optimises it, and it decides when a stage ends and which epoch is best. Defaults to the
            task's, such as `"val_accuracy"`.
        share_backbone: Whether trials that differ only in head, stages and training put their
            heads on one backbone, whose pretrained weights `build` restores. It is faster, but
            building a model invalidates the one before. Defaults to False.

    Raises:
        InputError: If the recipe has been fitted, or the objective is not one of its metrics.

    Example:

    ```python
    hypermodel = kft.tuning.StagedHyperModel(recipe)
    tuner = keras_tuner.RandomSearch(hypermodel, objective="val_accuracy", max_trials=5)
    tuner.search("photos", run_dir=None)
    ```
    """

    def __init__(
        self,
        recipe: Family,
        space: Any = None,
        *,
        stages: Sequence[Stage] | None = None,
        objective: Any = None,
        share_backbone: bool = False,
    ) -> None:
        super().__init__(name=type(recipe).__name__)
        if recipe.is_fitted:
            raise InputError(
                f"the {type(recipe).__name__} has been fitted, but trials begin with the pretrained "
                "weights: pass a new recipe with the same arguments."
            )
        self.recipe, self.space = recipe, space
        self.stages = checked_stages(_default(recipe) if stages is None else stages)
        self.objective = objective_of(objective, recipe)
        self.share_backbone = share_backbone
        self.latest: Family | None = None
        self._backbone: SharedBackbone | None = None

    def plan(self, hp: Any) -> TrialPlan:
        """Return what a trial with these values trains.

        Args:
            hp: A `keras_tuner.HyperParameters`, to which the declarations of the space are added.
        """
        made = declare(hp, self.space, self.recipe)
        return plan_trial(hp.values, made, self.stages, self.recipe)

    def build(self, hp: Any) -> keras.Model:
        """Build the model of a trial, with its pretrained weights.

        Args:
            hp: A `keras_tuner.HyperParameters`.
        """
        arguments = self.plan(hp).arguments
        if self.share_backbone and SharedBackbone.suits(self.recipe, arguments):
            self._backbone = self._backbone or SharedBackbone(self.recipe)
            self.latest = self._backbone.build(arguments, self.recipe.classes)
        else:
            self.latest = dataclasses.replace(self.recipe, **arguments)
        return self.latest.model

    def relative(self, arguments: Mapping[str, Any]) -> Family:
        """Return a recipe that differs only in its head, without building its model.

        Args:
            arguments: Arguments of the head and of training.
        """
        self._backbone = self._backbone or SharedBackbone(self.recipe)
        return self._backbone.unbuilt(arguments, self.recipe.classes)

    def fit(
        self,
        hp: Any,
        model: keras.Model,
        train: Any,
        validation_data: Any = 0.2,
        *,
        epochs: int | None = None,
        initial_epoch: int = 0,
        **settings: Any,
    ) -> keras.callbacks.History:
        """Train the model that `build` returned last.

        Args:
            hp: A `keras_tuner.HyperParameters`.
            model: The model that `build` returned.
            train: As in `Recipe.fit`.
            validation_data: As in `Recipe.fit`.
            epochs: The epochs of the whole trial, as set by Hyperband; the stages are shortened in
                proportion, to no less than one epoch each. Defaults to the stages' own.
            initial_epoch: How many of them an earlier trial, whose weights the model has, has done.
            **settings: Other arguments of `Recipe.fit`, such as `callbacks`.

        Returns:
            The history of all stages.
        """
        if self.latest is None or self.latest.model is not model:
            raise InputError("`fit` trains the model that `build` returned last: call build(hp).")
        return self.run(hp, train, validation_data, epochs, initial_epoch, **settings)[1]

    def run(
        self,
        hp: Any,
        train: Any,
        validation_data: Any = 0.2,
        epochs: int | None = None,
        initial_epoch: int = 0,
        **settings: Any,
    ) -> tuple[Run, keras.callbacks.History]:
        """Train like `fit`, and return the `kft.family.run.Run` too."""
        assert self.latest is not None
        planned = self.plan(hp)
        stages = planned.stages
        if epochs is not None:
            stages = within(stages, epochs - initial_epoch)
        best = BestEpoch(monitor=(self.objective.name, self.objective.direction))
        settings = {"augment": planned.augment, "restore_best": best, **settings}
        run = self.latest.fit(train, validation_data, stages=stages, **settings)
        history = keras.callbacks.History()
        history.history = run.history
        return run, history


def _default(recipe: Family) -> Sequence[Stage]:
    """Return the recipe's own stages, with a head that is not solved: a search varies its rate."""
    first, *others = recipe.usual_stages()
    return [trained_head(None) if first.solve else first, *others]
