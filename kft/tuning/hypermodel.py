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
    """A staged fit of a recipe whose stages and arguments are hyperparameters.

    It works with any tuner and oracle of KerasTuner: a trial is a single staged fit, its score the
    best epoch's of all stages. `Recipe.tune` is a search with it in which trials share frozen
    features and a killed search goes on.

    Args:
        recipe: the recipe to search for; a trial builds one like it, from the pretrained weights.
        space: a function of `hp` that declares hyperparameters in KerasTuner's terms, such as
            `hp.Float("backbone_lr", 1e-5, 1e-3, sampling="log")`, or a
            `keras_tuner.HyperParameters`. The names `head_lr`, `backbone_lr`, `unfreeze`,
            `layer_decay`, `warmup` change the stages, `augment` is a preset or `"none"`, and every
            other name is an argument of the recipe. A function may also return stages that it made
            itself, and then use any names. Defaults to `kft.tuning.default_space`.
        stages: the stages that values change: `head_lr` those of the head alone, the others the
            rest; `unfreeze` puts one stage of that depth in place of the rest. Defaults to the
            recipe's own.
        objective: name of a validation metric, or a `keras_tuner.Objective`: what ends a stage, as
            well as what is searched for. Defaults to the task's, such as `"val_accuracy"`.
        share_backbone: whether trials that differ in head, stages and training alone put their
            heads on one backbone, whose pretrained weights `build` restores. It is quicker, and a
            model is then good only until the next one is built. Defaults to False.

    Raises:
        InputError: the recipe has been fitted, or the objective is none of its metrics.

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
        """What a trial with these values trains.

        Args:
            hp: a `keras_tuner.HyperParameters`; what the space declares is added to it.
        """
        made = declare(hp, self.space, self.recipe)
        return plan_trial(hp.values, made, self.stages, self.recipe)

    def build(self, hp: Any) -> keras.Model:
        """The model of a trial, with its pretrained weights.

        Args:
            hp: a `keras_tuner.HyperParameters`.
        """
        arguments = self.plan(hp).arguments
        if self.share_backbone and SharedBackbone.suits(self.recipe, arguments):
            self._backbone = self._backbone or SharedBackbone(self.recipe)
            self.latest = self._backbone.build(arguments, self.recipe.classes)
        else:
            self.latest = dataclasses.replace(self.recipe, **arguments)
        return self.latest.model

    def relative(self, arguments: Mapping[str, Any]) -> Family:
        """A recipe that differs in its head alone from others, without a model.

        Args:
            arguments: arguments of the head and of training.
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
        """Train what `build` built last.

        Args:
            hp: a `keras_tuner.HyperParameters`.
            model: the model that `build` returned.
            train: as in `Recipe.fit`.
            validation_data: as in `Recipe.fit`.
            epochs: epochs of the whole trial, as Hyperband hands out; the stages are shortened in
                proportion, to no less than one epoch each. By default the stages' own.
            initial_epoch: how many of them an earlier trial has done whose weights the model has.
            **settings: other arguments of `Recipe.fit`, `callbacks` among them.

        Returns:
            One history over all stages.
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
        """As `fit`, and returns the `kft.family.run.Run` too."""
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
    """The recipe's own stages, with a head that trains: a search varies its rate."""
    first, *others = recipe.usual_stages()
    return [trained_head(None) if first.solve else first, *others]
