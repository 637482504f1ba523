"""A search's best trial, trained on everything or trained further."""

from __future__ import annotations

import dataclasses
from typing import Any

from kft.data.examples import Examples
from kft.data.trees import concatenated
from kft.errors import InputError
from kft.family.run import read_history
from kft.stages.stage import Stage
from kft.tuning.trials import Trial


def together(first: Any, second: Any) -> Examples:
    """Two sets of examples as one.

    Args:
        first: what `Recipe.read` returned.
        second: the same, of the same kind.

    Raises:
        InputError: they are streams, or of different kinds.
    """
    if not (isinstance(first, Examples) and isinstance(second, Examples)):
        raise InputError(
            "a stream cannot be joined with another: fit `search.new_recipe()` on data of your own."
        )
    if first.kind != second.kind:
        raise InputError(
            f"training data are {first.kind} and validation data {second.kind}, which cannot be "
            "joined: fit `search.new_recipe()` on data of your own."
        )
    return Examples(
        first.kind,
        concatenated([first.inputs, second.inputs]),
        concatenated([first.targets, second.targets]),
        first.classes,
        f"{first.source} and {second.source}",
        task=first.task,
    )


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
    history = read_history(trial.run_dir)
    known = list(history["stage"])[: trial.best_epoch]
    best = max if objective.direction == "max" else min
    kept = []
    for number in dict.fromkeys(known):
        values = [history[objective.name][i] for i, stage in enumerate(known) if stage == number]
        length = values.index(best(values)) + 1
        kept.append(dataclasses.replace(trial.stages[int(number) - 1], epochs=length))
    return kept
