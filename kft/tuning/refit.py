"""A search's best trial, trained on everything or trained further."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kft import saving
from kft.data.examples import Examples
from kft.errors import InputError
from kft.fitting import HISTORY
from kft.stages import Stage
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
        np.concatenate([first.inputs, second.inputs]),
        np.concatenate([first.targets, second.targets]),
        first.classes,
        f"{first.source} and {second.source}",
    )


def stages_to_the_best(trial: Trial, objective: Any, early_stopping: Any) -> list[Stage]:
    """A trial's stages without the epochs that its weights have nothing of.

    Those are the ones after its best epoch, and in the stages before, where early stopping put the
    best epoch's weights back, those after that.

    Args:
        trial: a trial that ended well.
        objective: the `keras_tuner.Objective` of the search.
        early_stopping: `"auto"`, None or a Keras `EarlyStopping`, as the search had it.
    """
    assert trial.run_dir is not None
    assert trial.best_epoch is not None
    history = saving.read_json(trial.run_dir / HISTORY)
    known = list(history["stage"])[: trial.best_epoch]
    kept = []
    for number in dict.fromkeys(known):
        epochs = [epoch for epoch, stage in enumerate(known) if stage == number]
        length = len(epochs)
        if number != known[-1]:
            length = _restored(history, epochs, objective, early_stopping)
        kept.append(dataclasses.replace(trial.stages[int(number) - 1], epochs=length))
    return kept


def _restored(
    history: Mapping[str, Sequence[float]], epochs: list[int], objective: Any, rule: Any
) -> int:
    """After how many epochs a stage had the weights that it ended with."""
    if isinstance(rule, keras.callbacks.EarlyStopping):
        if not rule.restore_best_weights:
            return len(epochs)
        name = rule.monitor
        largest = rule.mode == "max" or (rule.mode == "auto" and "acc" in name)
    elif rule is None:
        return len(epochs)
    else:
        name, largest = objective.name, objective.direction == "max"
    if name not in history:
        return len(epochs)
    values = [history[name][epoch] for epoch in epochs]
    return values.index(max(values) if largest else min(values)) + 1
