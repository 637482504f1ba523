"""The stages that repeat a trial of a search, up to its best weights."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

from kft.family.run_files import read_history
from kft.runs.places import fold_run
from kft.stages.lengths import epochs_behind
from kft.stages.stage import Stage
from kft.tuning.trials import Trial, score_of


def stages_to_the_best(trial: Trial, objective: Any) -> list[Stage]:
    """Return a trial's stages without the epochs that did not contribute to its weights.

    Each stage began with the best epoch of the one before, and the trial ended with the best of all:
    later epochs were discarded. With folds, each stage has the median of its epochs on them.

    Args:
        trial: A successful trial.
        objective: The `keras_tuner.Objective` of the search.
    """
    assert trial.run_dir is not None
    if not trial.fold_scores:
        return _of_run(trial, trial.run_dir, objective)
    lengths = []
    for number in range(len(trial.fold_scores)):
        kept = _of_run(trial, fold_run(trial.run_dir, number), objective)
        lengths.append([stage.epochs for stage in kept] + [0] * (len(trial.stages) - len(kept)))
    medians = [round(statistics.median(epochs)) for epochs in zip(*lengths, strict=True)]
    return [
        dataclasses.replace(stage, epochs=epochs)
        for stage, epochs in zip(trial.stages, medians, strict=True)
        if epochs
    ]


def _of_run(trial: Trial, run_dir: Path, objective: Any) -> list[Stage]:
    history = read_history(run_dir)
    best = {
        "monitor": objective.name,
        "mode": objective.direction,
        "epoch": score_of(history, objective)[1],
        "among": "run",
    }
    return epochs_behind(trial.stages, history, best)
