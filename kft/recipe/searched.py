"""`Searched`: the method `tune` of recipes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kft.arguments.calls import checked_call
from kft.family.hooks import Family
from kft.family.policies import Resume
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage

if TYPE_CHECKING:
    from kft.tuning import Search


class Searched(Family):
    """A family whose settings can be searched: the method `tune` of every `kft.Recipe`."""

    @checked_call
    def tune(
        self,
        train: Any,
        validation_data: Any = 0.2,
        *,
        run_dir: str | os.PathLike,
        max_trials: int = 20,
        max_seconds: float | None = None,
        max_epochs: int | None = None,
        algorithm: str = "random",
        prune: str | None = None,
        space: Any = None,
        objective: Any = None,
        folds: int | None = None,
        stages: Sequence[Stage] | None = None,
        batch_size: int = 32,
        early_stopping: Any = "auto",
        batch_norm: BatchNorm = "frozen",
        balance: str | None = None,
        jit_compile: bool | str = "auto",
        cache: bool | str = True,
        resume: Resume | None = None,
        workers: int | None = None,
        host: str | None = None,
        distribution: Any = "auto",
        seed: int = 0,
        on_bad_example: str = "error",
        verbose: int | str = "auto",
    ) -> Search:
        """Search for stages, rates and other settings; each trial is one staged fit.

        A trial's score is the objective's best epoch over all its stages, whose model the trial keeps,
        or with `folds` the mean of these scores.
        All trials share the frozen features, so that layers below the shallowest trained block run only
        once for each depth. A failed trial is recorded with its reason; a killed search continues with
        the same trials when the call is repeated.

        Args:
            train: As in `fit`.
            validation_data: As in `fit`; the same for all trials.
            run_dir: Directory of the search: trials, features, a report, the best stages.
            max_trials: Maximum number of trials. Defaults to 20.
            max_seconds: Seconds in trials after which no further one begins. Defaults to no limit.
            max_epochs: Epochs of all trials together after which no further one begins. Defaults to
                no limit.
            algorithm: `"random"`, `"bayesian"`, `"hyperband"` or `"grid"`.
            prune: `"median"` ends a trial that is worse than the median of those before it; None
                lets all run. Defaults to None.
            space: The search space, in KerasTuner's terms, as in `kft.tuning.StagedHyperModel`:
                `lambda hp: hp.Float("head_lr", 1e-4, 1e-2, sampling="log")`. Defaults to
                `kft.tuning.default_space`.
            objective: Name of a validation metric, or a `keras_tuner.Objective`. Defaults to the
                task's, such as `"val_accuracy"`.
            folds: Fit each trial once per fold of the training data, validated on that fold, and score
                it by the mean: better than one part of few examples, at that many times the work.
                Without `validation_data`. Defaults to None, one fit per trial.
            stages: The stages that a trial's values change. Defaults to `default_stages()`.
            batch_size: Examples per step. Defaults to 32.
            early_stopping: As in `fit`; by default 3 epochs without a better objective.
            batch_norm: As in `fit`.
            balance: As in `fit`.
            jit_compile: As in `fit`.
            cache: Whether frozen features are cached, as in `fit`. Defaults to True, since a cost that
                does not pay in a single fit may pay in many.
            resume: As in `fit`: how often the current trial commits its state, from which it resumes
                after a kill.
            workers: How many processes run trials in parallel; each runs this process' command
                again. By default this process runs them, or has the role that KerasTuner's
                environment variables set.
            host: The address at which workers on other machines reach this process, for trusted
                networks only. Defaults to this machine only.
            distribution: As in `fit`, for each trial; a resumed search may have another one.
            seed: Seed of the search, and of each fit.
            on_bad_example: As in `fit`.
            verbose: 0 prints nothing, other values a line per trial.

        Returns:
            The `kft.tuning.Search`.

        Raises:
            InputError: If an argument or the data are wrong, or `run_dir` belongs to another search.
            KftError: If every trial fails.
        """
        from kft.tuning.search import search
        from kft.tuning.settings import SearchSettings

        settings = SearchSettings(
            run_dir=run_dir,
            max_trials=max_trials,
            max_seconds=max_seconds,
            max_epochs=max_epochs,
            algorithm=algorithm,
            prune=prune,
            space=space,
            objective=objective,
            folds=folds,
            stages=stages,
            batch_size=batch_size,
            early_stopping=early_stopping,
            batch_norm=batch_norm,
            balance=balance,
            jit_compile=jit_compile,
            cache=cache,
            resume=resume,
            workers=workers,
            host=host,
            distribution=distribution,
            seed=seed,
            on_bad_example=on_bad_example,
            verbose=verbose,
        )
        return search(self, train, validation_data, settings)
