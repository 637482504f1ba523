"""KerasTuner's search loop over staged fits, each of which is run once."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

from kft.cache.settings import Cache
from kft.errors import KftError
from kft.family.policies import Finish
from kft.report.progress import Progress, duration
from kft.runs.files import refused_write, writing_to
from kft.tuning.bounds import Bounds
from kft.tuning.epoch_progress import EpochProgress
from kft.tuning.garbage_collection import Collector
from kft.tuning.hypermodel import StagedHyperModel
from kft.tuning.parts import Part, outcome_of
from kft.tuning.pruning import MedianStopping, scores_by_epoch
from kft.tuning.space import TrialPlan, within
from kft.tuning.stack import FEATURES, TRIALS, Stack
from kft.tuning.together import Together
from kft.tuning.trials import (
    RUN,
    Trial,
    alone_at,
    brief_reason,
    not_written,
    trial_folder,
    write_trial,
)

FAILURES = 3


class StagedTuner(BaseTuner):
    """Run the trials that an oracle proposes, and collect their results.

    Resuming after a crash needs none of KerasTuner's own state: with the same seed and the same
    scores an oracle proposes the same trials again, and a trial that has ended is read from its
    folder. The one that was running is fitted again in its run directory.

    Args:
        oracle: A KerasTuner oracle.
        hypermodel: The hypermodel of the search.
        run_dir: The directory of the search.
        settings: The arguments of `Recipe.fit` that all trials share.
        units: The number of parts into which Hyperband divides a full fit; 1 for other oracles.
        prune: Whether a trial that is worse than the median of earlier ones ends early.
        bounds: The budget of the search.
        say: Called with a message for the user after each trial.
        verbose: How the progress of the running trial is shown, as in `kft.report.progress.Progress`.
        overwrite: Whether KerasTuner's own files of an earlier search are removed.
        ahead: Returns the hyperparameters of the first trials, up to the first that depends on a
            score; those of them that train the head alone train together.
    """

    def __init__(
        self,
        oracle: Any,
        hypermodel: StagedHyperModel,
        run_dir: Path,
        *,
        settings: Mapping[str, Any],
        units: int,
        prune: bool,
        bounds: Bounds,
        say: Callable[[str], None],
        verbose: int | str = 0,
        overwrite: bool = True,
        ahead: Callable[[], list[Any]] = list,
    ) -> None:
        super().__init__(oracle, directory=str(run_dir), project_name="oracle", overwrite=overwrite)
        self.hypermodel = hypermodel  # set here: KerasTuner would build models to find the space
        self.run_dir, self.settings, self.units = run_dir, settings, units
        self.prune, self.bounds, self.say, self.verbose = prune, bounds, say, verbose
        self.trials: list[Trial] = []
        self.garbage = Collector()
        self._ahead = ahead

    @property
    def seconds(self) -> float:
        """The seconds that the trials took, including those of earlier processes."""
        return sum(trial.seconds for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The best trial so far."""
        return best_of(self.trials, self.hypermodel.objective)

    def over(self, seconds: float | None = None) -> str | None:
        """Return a message why no further trial may begin; None if one may.

        Args:
            seconds: The seconds so far. Defaults to those of its trials.
        """
        if len(self.trials) >= FAILURES and self.best is None:
            return "the first trials have all failed"
        epochs = sum(trial.epochs for trial in self.trials)
        return self.bounds.reached(self.seconds if seconds is None else seconds, epochs)

    def search(self, parts: Sequence[Part]) -> str | None:
        """Run trials until the oracle proposes no more.

        Args:
            parts: The data of each fit of a trial.

        Returns:
            Why the search ended earlier; None if it did not.
        """
        together = self._beside(parts)
        while True:
            reason = self.over()
            if reason is not None:
                return reason
            with writing_to(self.run_dir):  # KerasTuner writes files of its own
                trial = self.oracle.create_trial(self.tuner_id)
            if trial.status == TrialStatus.STOPPED:
                return None
            if trial.status == TrialStatus.IDLE:
                continue
            together.train(self.number_of(trial), trial.hyperparameters, self.trials)
            ended = self.run_trial(trial, parts)
            if ended.score is None:
                trial.status, trial.message = TrialStatus.FAILED, ended.reason
            else:
                scores = {self.hypermodel.objective.name: ended.score}
                self.oracle.update_trial(trial.trial_id, scores)
                trial.status = TrialStatus.COMPLETED
            with writing_to(self.run_dir):
                self.oracle.end_trial(trial)
            self.note(ended)

    def _beside(self, parts: Sequence[Part]) -> Together:
        """Return the object that trains trials together."""
        return Together(
            Stack(self.hypermodel, self.run_dir, self.settings, parts),
            ahead=self._ahead,
            plan=self._planned,
            bounds=self.bounds,
            prune=self.prune,
            say=self.say,
            verbose=self.verbose,
            garbage=self.garbage,
        )

    def note(self, ended: Trial, seconds: float | None = None) -> None:
        """Record and announce a trial that ended, unless it is recorded already.

        Args:
            ended: The trial.
            seconds: The seconds so far. Defaults to those of its trials.
        """
        if all(known.number != ended.number for known in self.trials):
            self.trials.append(ended)
            self.say(self._progress(ended, self.seconds if seconds is None else seconds))

    def run_trial(self, trial: Any, parts: Sequence[Part]) -> Trial:
        """Fit a trial, or read its result if one with the same values has ended.

        Args:
            trial: KerasTuner's trial.
            parts: The data of each of its fits.
        """
        number, values = self.number_of(trial), trial.hyperparameters.values
        folder = trial_folder(self.run_dir / TRIALS, number, values)
        with alone_at(folder) as ended:
            return ended or self._run(number, trial.hyperparameters, folder, parts)

    def _run(self, number: int, hp: Any, folder: Path, parts: Sequence[Part]) -> Trial:
        planned, reason = None, None
        try:
            planned = self._planned(hp)
        except KftError as error:
            reason = str(error)
        started = time.perf_counter()
        result: dict[str, Any] = {}
        if planned is not None:
            epochs = None if self.units == 1 else planned.epochs
            what = f"trial {number} of {self.bounds.trials}, epochs"
            with Progress(what, planned.epochs * len(parts), verbose=self.verbose) as progress:
                progress_callbacks = [
                    EpochProgress(progress, planned.epochs * i) for i in range(len(parts))
                ]
                result, reason = self._fit(hp, epochs, folder, parts, progress_callbacks)
        ended = Trial(
            number=number,
            values=dict(hp.values),
            **_described(planned),
            seconds=time.perf_counter() - started,
            reason=reason,
            **result,
        )
        write_trial(folder, ended)
        return ended

    def number_of(self, trial: Any) -> int:
        """Return the number of a new trial."""
        return len(self.trials) + 1

    def _planned(self, hp: Any) -> TrialPlan:
        """Return the plan of a trial, shortened to its part of a full fit if Hyperband sets one."""
        whole = self.hypermodel.plan(hp)
        if self.units == 1:
            return whole
        epochs = math.ceil(whole.epochs * hp.values["tuner/epochs"] / self.units)
        return dataclasses.replace(whole, stages=within(whole.stages, epochs))

    def _fit(
        self,
        hp: Any,
        epochs: int | None,
        folder: Path,
        parts: Sequence[Part],
        progress_callbacks: Sequence[EpochProgress],
    ) -> tuple[dict[str, Any], str | None]:
        """Fit a trial on each part, and return its result, or why it failed."""
        objective = self.hypermodel.objective
        histories = []
        try:
            for part, progress in zip(parts, progress_callbacks, strict=True):
                callbacks: list[Any] = [progress]
                if self.prune:
                    scores = scores_by_epoch(self.trials, objective)
                    callbacks.append(MedianStopping(objective, scores))
                histories.append(self._history(hp, epochs, folder / part.run, part, callbacks))
            return {**outcome_of(parts, histories, objective), "run_dir": folder / RUN}, None
        except Exception as error:  # whatever it is, the other trials can go ahead
            if refused_write(error):  # not the trial's fault: the next call fits it again
                raise not_written(error, self.run_dir) from error
            return {}, brief_reason(error)

    def _history(
        self, hp: Any, epochs: int | None, run_dir: Path, part: Part, callbacks: list[Any]
    ) -> dict[str, list]:
        """Fit a trial on a part, and return its history."""
        cache = Cache(self.settings["cache"], directory=self.run_dir / FEATURES)
        try:
            self.hypermodel.build(hp)
            run, _ = self.hypermodel.run(
                hp,
                part.train,
                part.validation,
                epochs,
                run_dir=run_dir,
                callbacks=callbacks,
                finish=Finish(report=False),
                verbose=0,
                **{**self.settings, "cache": cache},
            )
            return run.history
        finally:
            self.hypermodel.latest = None
            self.garbage.collect()

    def _progress(self, ended: Trial, seconds: float) -> str:
        most, done = self.bounds.trials, len(self.trials)
        name = self.hypermodel.objective.name
        what = f"failed: {ended.reason}" if ended.failed else f"{name} {ended.shown_score}"
        line = f"Trial {done} of {most}: {what}, {ended.seconds:.0f} s"
        best = self.best
        if best is not None:
            line += f"; best {best.shown_score} (trial {best.number})"
        if done == most:
            return line
        left = seconds / done * (most - done)
        if self.bounds.seconds is not None:
            left = min(left, max(0.0, self.bounds.seconds - seconds))
        epochs = sum(trial.epochs for trial in self.trials)
        if self.bounds.epochs is not None and epochs:
            left = min(left, seconds / epochs * max(0, self.bounds.epochs - epochs))
        return f"{line}; about {duration(left)} left"


def best_of(trials: list[Trial] | tuple[Trial, ...], objective: Any) -> Trial | None:
    """Return the trial with the best score, the earliest if several have it; None if all failed."""
    best: Trial | None = None
    for trial in trials:
        if trial.score is not None and (
            best is None or objective.better_than(trial.score, best.score)
        ):
            best = trial
    return best


def _described(planned: TrialPlan | None) -> dict[str, Any]:
    if planned is None:
        return {"stages": (), "arguments": {}, "augment": None}
    return {
        "stages": planned.stages,
        "arguments": dict(planned.arguments),
        "augment": planned.augment,
    }
