"""The joint training of trials of the head alone, each saved as if it had been fitted alone."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from kft.backends import backend
from kft.cache.settings import Cache
from kft.cache.store import FeatureStore, opened_store
from kft.callbacks import RunCheckpoint
from kft.callbacks.monitor import Monitor
from kft.family.hooks import Family
from kft.family.planned import PlannedFit
from kft.family.policies import Finish
from kft.family.settings import FitSettings
from kft.family.training_pass import TrainingPass, prepared, training_pass
from kft.stages.regrouping import warmup_steps
from kft.stages.schedules import WarmupSchedule
from kft.stages.stage import Stage
from kft.training.stacked_heads import HeadSettings, StackedHeads, chain_of
from kft.training.stage_parts import StagePart, StageParts
from kft.training.together import TrainedHead, fit_together
from kft.tuning.head_runs import HeadRuns
from kft.tuning.head_trials import HeadTrial
from kft.tuning.hypermodel import StagedHyperModel
from kft.tuning.parts import Part
from kft.tuning.trials import RUN

TRIALS = "trials"
FEATURES = "features"
STATES = "heads"
_MOST = 2**24  # parameters of all heads together


class Stack:
    """Train heads together, and write their trials.

    Args:
        hypermodel: The hypermodel of the search.
        run_dir: The directory of the search.
        settings: The arguments of `Recipe.fit` that all trials share.
        parts: The data of each fit of a trial; several cannot train together.
    """

    def __init__(
        self,
        hypermodel: StagedHyperModel,
        run_dir: Path,
        settings: Mapping[str, Any],
        parts: Sequence[Part],
    ) -> None:
        self.hypermodel, self.settings, self.parts = hypermodel, settings, parts
        self._data = parts[0].train, parts[0].validation
        self.recipe, self.trials_dir = hypermodel.recipe, run_dir / TRIALS
        self.failed: set[Path] = set()  # folders of trials whose loss was not finite
        self._states = run_dir / STATES
        self._cache = Cache(settings["cache"], directory=run_dir / FEATURES)

    def train(
        self, members: Sequence[HeadTrial], callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> str:
        """Train trials together, and write those that succeeded.

        A head whose loss is not finite is left for a fit of its own, which reports what went wrong;
        so are heads beyond the limit on parameters.

        Args:
            members: New trials that can train together.
            callbacks: Keras callbacks of the fit.

        Returns:
            Why these heads cannot train together; empty if they did.
        """
        began = time.perf_counter()
        recipes = [self.hypermodel.relative(one.plan.arguments) for one in members]
        # Without dropout a head has no Dropout layers; the one with the most has all layers.
        widest = max(range(len(members)), key=lambda index: recipes[index].task.dropout)
        self.hypermodel.build(members[widest].hp)
        assert self.hypermodel.latest is not None
        settings = self.fit_settings(members[widest])
        planned = PlannedFit.of(self.hypermodel.latest, *self._data, settings)
        optimizer = prepared(planned)
        with (
            opened_store(self._cache.path, self._cache.dtype) as store,
            training_pass(planned, store, optimizer) as fit,
        ):
            fit.cached_stages = fit.decide()
            why = _why_not(fit)
            if why:
                return why
            parts = StageParts(
                fit.model, fit.batches, fit.held_out, settings.stages, fit.cached_stages, 0
            )
            try:
                parts.compute(store, planned.recipe.input_identity())
                why = self._train_on(parts.of(0), members, recipes, fit, store, began, callbacks)
            finally:
                parts.close()
        self.forget()
        return why

    def forget(self) -> None:
        """Remove the commits of the joint training."""
        shutil.rmtree(self._states, ignore_errors=True)

    def _train_on(
        self,
        part: StagePart,
        members: Sequence[HeadTrial],
        recipes: Sequence[Family],
        fit: TrainingPass,
        store: FeatureStore,
        began: float,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> str:
        """Train trials on the part of the stage, and return like `train`."""
        chain = chain_of(part.trainer)
        if part.features is None:
            return "no features could be kept"
        if chain is None:
            return "other layers than float32 Dense ones lie above the cached features"
        members = members[: _MOST // sum(layer.count_params() for layer in chain)]
        if len(members) < 2:
            return "the head is too large to have several in memory"
        runs = HeadRuns(fit, store, chain, began)
        heads = self._trained(members, recipes, fit, part, chain, callbacks)
        runs.trained(len(members))
        for one, recipe, head in zip(members, recipes, heads, strict=False):
            if head.failed:
                self.failed.add(one.folder)
            else:
                planned = PlannedFit.of(recipe, *self._data, self.fit_settings(one))
                runs.write(one, planned, head, self.hypermodel.objective)
        return ""

    def _trained(
        self,
        members: Sequence[HeadTrial],
        recipes: Sequence[Family],
        fit: TrainingPass,
        part: StagePart,
        chain: Sequence[keras.layers.Layer],
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> list[TrainedHead]:
        settings = fit.planned.settings
        assert settings.monitor is not None
        steps = len(part.batches)
        heads = [
            HeadSettings(
                schedule=_schedule(one.plan.stages[0], steps),
                epochs=one.plan.epochs,
                weight_decay=recipe.weight_decay,
                dropout=recipe.task.dropout,
                loss=recipe.loss(),
            )
            for one, recipe in zip(members, recipes, strict=False)
        ]
        model = StackedHeads(chain, heads, fit.planned.recipe.metrics())
        names = " ".join(one.folder.name for one in members)
        place = self._states / hashlib.sha256(names.encode()).hexdigest()[:10]
        return fit_together(
            model,
            part.batches,
            part.validation,
            monitor=Monitor.of(settings.monitor),
            rule=settings.early_stopping,
            whole=fit.model,
            jit_compile=settings.jit_compile,
            checkpoint=RunCheckpoint(place, settings.resume.every, keep=2),
            callbacks=callbacks,
        )

    def fit_settings(self, member: HeadTrial) -> FitSettings:
        """Return the settings for fitting one trial alone.

        Args:
            member: The trial.
        """
        shared, objective = self.settings, self.hypermodel.objective
        return FitSettings(
            stages=member.plan.stages,
            run_dir=member.folder / RUN,
            callbacks=(),
            restore_best="auto",
            monitor=(objective.name, objective.direction),
            tolerance=None,
            interpolate=False,
            optimizer=None,
            augment=None,
            augmentation=None,
            cache=self._cache,
            finish=Finish(report=False),
            on_bad_example="error",
            verbose=0,
            **{name: value for name, value in shared.items() if name != "cache"},
        )


def _why_not(fit: TrainingPass) -> str:
    """Return why the heads of a pass, whose caching is decided, cannot train together."""
    if fit.planned.settings.contrast:
        return "the encoder is first trained contrastively"
    if fit.cached_stages[0].cut is None:
        return f"features are {fit.cached_stages[0].reason}"
    if fit.model.jit_compile and not backend().compiles_every_step:
        # TensorFlow's XLA draws other random numbers, and takes minutes to compile many heads.
        return "their steps would be compiled by XLA (jit_compile)"
    return ""


def _schedule(stage: Stage, steps: int) -> WarmupSchedule:
    """Return the learning rate schedule of a stage with a new optimizer."""
    total = steps * stage.epochs
    return WarmupSchedule(
        stage.learning_rate,
        warmup_steps=warmup_steps(stage, total),
        decay=stage.decay,
        total_steps=total,
    )
