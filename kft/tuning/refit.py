"""The stages that repeat a trial of a search, up to its best weights."""

from __future__ import annotations

from typing import Any

from kft.family.run_files import read_history
from kft.stages.lengths import epochs_behind
from kft.stages.stage import Stage
from kft.tuning.trials import Trial


def stages_to_the_best(trial: Trial, objective: Any) -> list[Stage]:
    """Return a trial's stages without the epochs that did not contribute to its weights.

    Each stage began with the best epoch of the one before, and the trial ended with the best of all:
    later epochs were discarded.

    Args:
        trial: A successful trial.
        objective: The `keras_tuner.Objective` of the search.
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
