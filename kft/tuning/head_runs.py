"""Run directories of heads that trained together, as if each had been fitted alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import keras

from kft.cache.store import FeatureStore
from kft.callbacks.best_state import Best
from kft.callbacks.monitor import Monitor
from kft.data.examples import Examples
from kft.family import run_files
from kft.family.planned import PlannedFit
from kft.family.raw_examples import raw_examples
from kft.family.run import Run, journal_content, plain_history
from kft.family.training_pass import TrainingPass
from kft.stages.plan import plan
from kft.training.journal import Journal, best_noted, memory_peaks
from kft.training.together import TrainedHead
from kft.tuning.head_trials import HeadTrial
from kft.tuning.trials import Trial, alone_at, score_of, write_trial


class HeadRuns:
    """Write the runs and trials of heads that train together.

    Args:
        fit: The training pass of a recipe with one of the heads; its model takes the weights of each
            head in turn.
        store: The store of the features.
        chain: The layers of the head.
        began: The start of the work, as of `time.perf_counter`.
    """

    def __init__(
        self,
        fit: TrainingPass,
        store: FeatureStore,
        chain: Sequence[keras.layers.Layer],
        began: float,
    ) -> None:
        self._fit, self._passes = fit, store.passes
        self._weights = [weight for layer in chain for weight in layer.weights]
        recipe, settings = fit.planned.recipe, fit.planned.settings
        self._head = plan(fit.model, settings.stages, settings.batch_norm)[0].groups[0].name
        self._journal = Journal(fit.model, weights=recipe.starting_weights)
        train = fit.planned.train
        assert isinstance(train, Examples)
        self._raw = raw_examples(recipe, train)
        self._began, self._ready = began, time.perf_counter()
        self._before = self._training = 0.0

    def trained(self, members: int) -> None:
        """Divide the time so far among the heads, now that they have trained.

        Args:
            members: The number of heads.
        """
        now = time.perf_counter()
        self._before = (self._ready - self._began) / members
        self._training = (now - self._ready) / members

    def write(
        self, member: HeadTrial, planned: PlannedFit, head: TrainedHead, objective: Any
    ) -> None:
        """Write a run and its trial, unless another process has done so.

        Args:
            member: The trial.
            planned: The equivalent fit of this head alone.
            head: The trained head.
            objective: The `keras_tuner.Objective` of the search.
        """
        began = time.perf_counter()
        history = plain_history(head.history)
        with alone_at(member.folder) as ended:
            if ended is not None:
                return
            run = self._run(planned, head, history)
            planned.directory.keep(lambda: run_files.keep(run, planned.plan))
            score, epoch, stage = score_of(history, objective)
            write_trial(
                member.folder,
                Trial(
                    number=member.number,
                    values=dict(member.hp.values),
                    stages=member.plan.stages,
                    arguments=dict(member.plan.arguments),
                    augment=member.plan.augment,
                    score=score,
                    best_epoch=epoch,
                    best_stage=stage,
                    epochs=head.epochs,
                    seconds=self._before + self._training + time.perf_counter() - began,
                    run_dir=planned.directory.path,
                ),
            )

    def _run(self, planned: PlannedFit, head: TrainedHead, history: dict[str, list]) -> Run:
        recipe, train = planned.recipe, planned.train
        recipe.take_model(self._fit.planned.recipe)
        for weight, value in zip(self._weights, head.values, strict=True):
            weight.assign(value)
        assert isinstance(train, Examples)
        recipe.learn(train)
        recipe.raw_examples = self._raw
        recipe.is_fitted, recipe.loaded_from = True, None
        recipe.origin = {"plan": planned.plan, "history": history}
        return Run(
            recipe=recipe,
            history=history,
            run_dir=planned.directory.path,
            training=train,
            validation=planned.validation,
            journal=self._noted(planned, head, history),
        )

    def _noted(self, planned: PlannedFit, head: TrainedHead, history: dict[str, list]) -> Any:
        """Return the journal of a fit alone, but with the time and memory of the joint one."""
        self._journal.set_state(
            {
                "seconds": {"before": self._before, "1": self._training},
                "epochs": {"1": head.epochs},
                "memory": {"1": memory_peaks()},
                "rates": [{self._head: rate} for rate in history["learning_rate"]],
                "passes": self._passes,
            }
        )
        self._passes = 0  # the features were computed once
        found = journal_content(
            self._journal, self._fit.cached_stages, planned.train, planned.validation
        )
        settings = planned.settings
        assert settings.monitor is not None
        best = Best(head.value, head.best or 0, 0)
        monitor = Monitor.of(settings.monitor)
        cache = found.pop("cache")
        return {
            **found,
            "best": best_noted(best, monitor, among=settings.restore_best),
            "cache": cache,
        }
