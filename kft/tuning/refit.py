"""A search's best trial, trained on everything or trained further."""

from __future__ import annotations

from typing import Any

from kft.family.run_files import read_history
from kft.stages.lengths import epochs_behind
from kft.stages.stage import Stage
from kft.tuning.trials import Trial


def stages_to_the_best(trial: Trial, objective: Any) -> list[Stage]:
    """Return a trial's stages without the epochs that its weights do not contain.

    Each stage began with the best epoch of the one before, and the trial ended with the best of all:
    what came after those epochs was taken back.

    Args:
        trial: a trial that ended well.
        objective: the `keras_tuner.Objective` of the search.
    """
    assert trial.run_dir is not None
    assert trial.best_epoch is not None
    best = {
        "monitor": objective.name,
        "mode": objective.direction,
        "epoch": trial.best_epoch,
        "among": "run",
    }
    return epochs_behind(trial.stages, read_history(trial.run_dir), best)
