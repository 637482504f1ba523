"""A Keras EarlyStopping as the rule of one stage."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kft import graph
from kft.callbacks.fellows import give_state, state_of


class StageEarlyStopping:
    """Asks a Keras `EarlyStopping` after each epoch whether the stage is over.

    Keras' callback stops the run and keeps weights only; here the run goes on, and the best epoch's
    optimizer state is kept with its weights, since one without the other mixes two moments in time.

    Args:
        rule: an `EarlyStopping` of this object's own, or None for a stage that runs its epochs.
        model: the model, as the stage begins.
    """

    def __init__(self, rule: keras.callbacks.EarlyStopping | None, model: keras.Model) -> None:
        self._rule = rule
        self._restores = rule is not None and rule.restore_best_weights
        self._best: list[np.ndarray] | None = None
        if rule is not None:
            rule.restore_best_weights = False
            rule.set_model(model)
            rule.on_train_begin()

    def epoch_ended(self, model: keras.Model, epoch: int, logs: dict[str, Any]) -> bool:
        """Whether the stage should end.

        Args:
            model: the model.
            epoch: index of the epoch within the stage.
            logs: the epoch's logs.
        """
        if self._rule is None:
            return False
        run_stops = model.stop_training
        model.stop_training = False
        self._rule.on_epoch_end(epoch, logs)
        stage_stops, model.stop_training = model.stop_training, run_stops
        if self._restores and (self._best is None or self._rule.best_epoch == epoch):
            self._best = [np.array(ops.convert_to_numpy(v)) for v in _changing(model)]
        return stage_stops

    def get_state(self) -> dict[str, Any]:
        """What has been seen so far in this stage."""
        rule = None if self._rule is None else state_of(self._rule)
        return {"rule": rule, "best": self._best}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` gave."""
        if self._rule is not None and state["rule"] is not None:
            give_state(self._rule, state["rule"])
        self._best = state["best"]

    def restore_best(self, model: keras.Model) -> None:
        """Puts back weights and optimizer state of the stage's best epoch, if that was asked for."""
        if self._best is not None:
            for variable, value in zip(_changing(model), self._best, strict=True):
                variable.assign(value)
            self._best = None


def _changing(model: keras.Model) -> list[keras.Variable]:
    """All that a training step of this stage may change, seeds aside."""
    return [*graph.changing(model), *model.optimizer.variables]


def describe_rule(rule: keras.callbacks.EarlyStopping | None) -> dict[str, Any] | None:
    """What decides when a stage ends, ready for JSON."""
    if rule is None:
        return None
    names = ("monitor", "patience", "min_delta", "baseline", "start_from_epoch")
    settings = {name: getattr(rule, name) for name in names}
    return {**settings, "restore_best_weights": rule.restore_best_weights}
