"""The trials that an oracle proposes whatever the scores of earlier trials are."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

from kft.errors import KftError


def asked_ahead(
    oracle: Any, foreseen: Callable[[int, dict[str, Any]], bool], plan: Callable[[Any], Any]
) -> list[Any]:
    """Return the hyperparameters of the trials that an oracle proposes before it looks at a score.

    Args:
        oracle: A new oracle, configured like that of the search; it cannot be used afterwards.
        foreseen: Returns whether the trial with this number, counted from 1, and these values
            depends on no score.
        plan: Declares the hyperparameters that a trial would declare.
    """
    with tempfile.TemporaryDirectory(prefix="kft-ahead-") as folder:
        BaseTuner(oracle, directory=folder, project_name="ahead")  # sets the oracle's directory
        return list(_asked(oracle, foreseen, plan))


def _asked(
    oracle: Any, foreseen: Callable[[int, dict[str, Any]], bool], plan: Callable[[Any], Any]
) -> Iterator[Any]:
    number = 0
    while True:
        trial = oracle.create_trial("ahead")
        number += 1
        if trial.status != TrialStatus.RUNNING or not foreseen(
            number, trial.hyperparameters.values
        ):
            return
        yield trial.hyperparameters
        try:
            plan(trial.hyperparameters)
        except KftError:
            trial.status = TrialStatus.FAILED
        else:
            oracle.update_trial(trial.trial_id, {oracle.objective.name: 0.0})
            trial.status = TrialStatus.COMPLETED
        oracle.end_trial(trial)
