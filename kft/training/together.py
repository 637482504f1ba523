"""The joint fit of several heads, each with its own early stopping and best epoch."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kft.callbacks import RunCheckpoint
from kft.callbacks.monitor import Monitor
from kft.callbacks.stage_early_stopping import StageEarlyStopping
from kft.data.batches import Batches, FollowEpochs
from kft.distribution.replica_batches import for_fit
from kft.training.stacked_heads import LOSSES, StackedHeads


@dataclasses.dataclass(eq=False)
class TrainedHead:
    """The result of one of several heads.

    Attributes:
        history: A list of values by epoch for every name, like that of a fit in stages.
        best: The best epoch, counted from 0; None before the first.
        value: The monitored value in that epoch.
        values: The weights in that epoch.
        ended: Whether it trains no further.
        failed: Whether its loss was not finite.
    """

    history: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    best: int | None = None
    value: float = math.nan
    values: list[np.ndarray] = dataclasses.field(default_factory=list)
    ended: bool = False
    failed: bool = False

    @property
    def epochs(self) -> int:
        """The number of epochs that it took."""
        return len(self.history.get("loss", ()))


class HeadsRecorder(keras.callbacks.Callback):
    """Keep the history and the best weights of each head, and end the fit when all have ended.

    Args:
        model: The heads.
        monitor: The monitor by which epochs are compared.
        rule: The early stopping of a stage; None for none.
        whole: A compiled model with one of the heads, for the rule.
    """

    def __init__(
        self,
        model: StackedHeads,
        monitor: Monitor,
        rule: keras.callbacks.EarlyStopping | None,
        whole: keras.Model,
    ) -> None:
        super().__init__()
        self.heads = [TrainedHead() for _ in model.settings]
        self._stacked, self._monitor, self._whole = model, monitor, whole
        self._rules = [StageEarlyStopping(copy.copy(rule), whole) for _ in model.settings]

    def get_state(self) -> dict[str, Any]:
        """Return the state that a resumed fit needs."""
        return {
            "heads": [dataclasses.asdict(head) for head in self.heads],
            "rules": [rule.get_state() for rule in self._rules],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self.heads = [TrainedHead(**one) for one in state["heads"]]
        for rule, one in zip(self._rules, state["rules"], strict=True):
            rule.set_state(one)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Record the epoch for each head that has not ended."""
        columns = {name: np.asarray(value) for name, value in (logs or {}).items()}
        steps = (epoch + 1) * self.params["steps"]
        for index, head in enumerate(self.heads):
            if head.ended:
                continue
            settings = self._stacked.settings[index]
            row = _row(columns, index)
            row |= {"stage": 1, "learning_rate": settings.schedule.at(steps - 1)}
            for name, value in row.items():
                head.history.setdefault(name, []).append(value)
            self._compare(index, epoch, row)
            stops = self._rules[index].epoch_ended(self._whole, epoch, row)
            head.ended = head.failed or stops or head.epochs >= settings.epochs
        if all(head.ended for head in self.heads):
            self.model.stop_training = True

    def _compare(self, index: int, epoch: int, row: Mapping[str, Any]) -> None:
        """Keep the weights of a head if the epoch is its best, and silence it if it diverged."""
        head, value = self.heads[index], self._monitor.value(row)
        if not all(math.isfinite(row[name]) for name in ("loss", "val_loss")):
            head.failed = True
            self._stacked.silence(index)
        elif value is not None and (
            head.best is None or self._monitor.is_better(value, head.value)
        ):
            head.best, head.value = epoch, value
            head.values = self._stacked.values(index)


def fit_together(
    model: StackedHeads,
    batches: Batches,
    validation: Batches,
    *,
    monitor: Monitor,
    rule: keras.callbacks.EarlyStopping | None,
    whole: keras.Model,
    jit_compile: bool | str,
    checkpoint: RunCheckpoint,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[TrainedHead]:
    """Train heads on the same batches until each has ended.

    Args:
        model: The heads.
        batches: Batches of features and targets.
        validation: The batches for validation.
        monitor: The monitor by which epochs are compared.
        rule: The early stopping of a stage; None for none.
        whole: A compiled model with one of the heads, for the rule.
        jit_compile: As for `keras.Model.compile`.
        checkpoint: Commits the state, from which the next call resumes.
        callbacks: Other callbacks.

    Returns:
        The heads, in the order of their settings.
    """
    model.compile_together(jit_compile)
    recorder = HeadsRecorder(model, monitor, rule, whole)
    checkpoint.follow(model, batches)
    try:
        model.fit(
            for_fit(batches),
            validation_data=for_fit(validation),
            epochs=max(one.epochs for one in model.settings),
            shuffle=False,  # `Batches` shuffles by itself
            callbacks=[FollowEpochs(batches), recorder, *callbacks, checkpoint],
            verbose=0,
        )
    finally:
        checkpoint.close()
        batches.close()
        validation.close()
    return recorder.heads


def _row(columns: Mapping[str, np.ndarray], index: int) -> dict[str, float]:
    """Return the logs of one head, with the names and the order of a fit of that head alone."""
    summed = ("loss", "val_loss")
    named = {
        name.replace(LOSSES, "loss"): float(value[index])
        for name, value in columns.items()
        if name not in summed
    }
    return dict(sorted(named.items()))
