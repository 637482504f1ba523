"""The best state of a stage and of the whole run, kept in memory and restored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np

from kft.arguments import is_number, shown
from kft.callbacks.monitor import Monitor
from kft.errors import InputError
from kft.model import graph
from kft.model.values import value_of
from kft.stages.optimizer import GroupedOptimizer, unscaled

Restore = Literal["run", "stage", "ends"]


def resolve_restore(
    restore_best: Restore | Literal["auto"] | None,
    monitor: str | tuple[str, str] | None,
    early_stopping: keras.callbacks.EarlyStopping | None,
) -> tuple[Restore | None, Monitor | None]:
    """Return what a run in stages restores, and the monitor; None for both if it restores nothing.

    Args:
        restore_best: The argument of `StagedUnfreezing`.
        monitor: The argument of `StagedUnfreezing`. Defaults to the monitor of `early_stopping`, or
            `"val_loss"`.
        early_stopping: The rule that ends a stage, if there is one.

    Raises:
        InputError: If the direction of the monitor is unknown.
    """
    if restore_best == "auto":
        restores = early_stopping is not None and early_stopping.restore_best_weights
        restore_best = "run" if restores else None
    if restore_best is None:
        return None, None
    if monitor is None and early_stopping is not None:
        return restore_best, Monitor.of_rule(early_stopping)
    return restore_best, Monitor.of("val_loss" if monitor is None else monitor)


def check_tolerance(tolerance: Any, restore_best: Any) -> None:
    """Check the tolerance and that there is something to tolerate.

    Args:
        tolerance: The argument of `StagedUnfreezing`.
        restore_best: The argument of `StagedUnfreezing`.

    Raises:
        InputError: If it is not a fraction above -1, or `restore_best` is not `"ends"`.
    """
    if not is_number(tolerance) or not -1 < tolerance < math.inf:
        raise InputError(
            f"`tolerance={shown(tolerance)}`: pass a fraction above -1, such as 0.1 for a stage that may be "
            "worse by a tenth, or -0.1 for one that must be better by a tenth."
        )
    if tolerance and restore_best != "ends":
        raise InputError(
            f"`tolerance={tolerance}` is for the ends of stages, but restore_best={restore_best!r}: pass "
            "restore_best='ends', or leave the tolerance out."
        )


@dataclasses.dataclass(frozen=True)
class Best:
    """The best epoch so far.

    Attributes:
        value: The value of the monitor.
        epoch: Index of the epoch in the run, from 0.
        stage: Index of the stage, from 0.
        share: The fraction of the way from the stage's start to this epoch at which the weights are; less
            than 1 only if a fit interpolates weights.
    """

    value: float
    epoch: int
    stage: int
    share: float = 1.0


class BestState:
    """Keep the weights of the best epoch, and restore them.

    Within a stage the weights of the best epoch are kept together with the optimizer's state, which
    belongs to the same step; at its end a stage restores both. Of the best epoch of the run only
    weights that later stages change are kept: each stage adds its own before its first step, while
    they still have the values of that epoch.

    Args:
        monitor: The value by which epochs are compared; of equal ones the first is the best.
        restore: `"stage"` for the best epoch of the last stage, `"run"` for that of all stages,
            `"ends"` for the best of the stages' last epochs.
        tolerance: By what fraction of the best value so far the end of a later stage may be worse and
            still be kept; by what fraction it must be better, if negative.
    """

    def __init__(self, monitor: Monitor, restore: Restore, tolerance: float = 0.0) -> None:
        self.monitor, self.tolerance = monitor, tolerance
        self._over_run, self._only_ends = restore != "stage", restore == "ends"
        self._stage: Best | None = None
        self._ended: Best | None = None
        self._stage_values: list[np.ndarray] = []
        self.best: Best | None = None
        self._run_values: dict[int, np.ndarray] = {}  # by position among the model's weights

    def begin_stage(self, model: keras.Model) -> None:
        """Keep the weights that the stage is about to change, if an earlier stage has the best epoch.

        Args:
            model: The model, with the stage's `trainable` flags.
        """
        self._stage, self._stage_values = None, []
        if self.best is None or not self._over_run:
            return
        position = {id(weight): index for index, weight in enumerate(model.weights)}
        for weight in graph.changing(model):
            index = position[id(weight)]
            if index not in self._run_values:
                self._run_values[index] = value_of(weight)

    def end_epoch(
        self, model: keras.Model, epoch: int, stage: int, logs: Mapping[str, Any] | None
    ) -> None:
        """Keep the state if the epoch is the best of its stage.

        Args:
            model: The model.
            epoch: Index of the epoch in the run.
            stage: Index of the stage.
            logs: The logs of the epoch.
        """
        value = self.monitor.value(logs)
        if value is None:
            return
        before = self._stage
        if before is None or self._only_ends or self.monitor.is_better(value, before.value):
            self._stage = Best(value, epoch, stage)
            self._stage_values = [value_of(variable) for variable in _state(model)]

    def end_stage(self, model: keras.Model, *, compare: bool = True) -> None:
        """Restore the best epoch of the stage that ends.

        Args:
            model: The model.
            compare: Whether it may become the best of the run; False if `end_between` follows.
        """
        if self._stage is None:
            return
        for variable, value in zip(_state(model), self._stage_values, strict=True):
            variable.assign(value)
        if compare and self._is_kept(self._stage.value):
            self.best, self._run_values = self._stage, _averages(model)
        self._ended, self._stage, self._stage_values = self._stage, None, []

    def offer(self, logs: Mapping[str, Any], share: float) -> bool:
        """Make the model's weights the best ones, if they are better.

        Args:
            logs: The logs of the model as it is, after the last stage has ended.
            share: As in `Best`.

        Returns:
            Whether they are better than the best before.
        """
        value = self.monitor.value(logs)
        if value is None or self.best is None or self._ended is None:
            return False
        if not self.monitor.is_better(value, self.best.value):
            return False
        self._keep(self._ended, value, share)
        return True

    def end_between(self, logs: Mapping[str, Any], share: float) -> None:
        """Compare the model's weights as the end of the last stage, whose own end was not compared.

        Args:
            logs: The logs of the model as it is.
            share: As in `Best`.
        """
        value = self.monitor.value(logs)
        if value is not None and self._ended is not None and self._is_kept(value):
            self._keep(self._ended, value, share)

    def _keep(self, ended: Best, value: float, share: float) -> None:
        """Make the model's weights, at a point on the way to the end of a stage, the best ones."""
        self.best = dataclasses.replace(ended, value=value, share=share)
        self._run_values = {}

    def _is_kept(self, value: float) -> bool:
        """Return whether the end of a stage with a value becomes the best of the run."""
        if self.best is None or not self._over_run:
            return True
        return self.monitor.is_better(value, self.best.value, self.tolerance)

    def end_run(self, model: keras.Model) -> None:
        """Restore the best epoch of the run."""
        self.end_stage(model)
        for index, value in self._run_values.items():
            model.weights[index].assign(value)
        self._run_values = {}

    def get_state(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {
            "stage": None if self._stage is None else dataclasses.astuple(self._stage),
            "stage_values": list(self._stage_values),
            "run": None if self.best is None else dataclasses.astuple(self.best),
            "run_values": {str(index): value for index, value in self._run_values.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `get_state` returned."""
        stage, run = state["stage"], state["run"]
        self._stage = None if stage is None else Best(*stage)
        self._stage_values = list(state["stage_values"])
        self.best = None if run is None else Best(*run)
        self._run_values = {int(index): value for index, value in state["run_values"].items()}


def _state(model: keras.Model) -> list[keras.Variable]:
    """Return all variables that a training step of this stage may change, except seeds."""
    return [*graph.changing(model), *model.optimizer.variables]


def _averages(model: keras.Model) -> dict[int, np.ndarray]:
    """Return the moving averages of the trainable weights, with which a fit that keeps them ends.

    As in `BestState`, the keys are positions among the model's weights.
    """
    optimizer = unscaled(model.optimizer)
    if not isinstance(optimizer, GroupedOptimizer):
        return {}
    position = {id(weight): index for index, weight in enumerate(model.weights)}
    pairs = [(weight, average) for weight, average in optimizer.averages if average is not None]
    return {position[id(weight)]: value_of(average) for weight, average in pairs}
