"""Staged unfreezing inside one `model.fit`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from kft.arguments import check_choice, check_verbose, plain, shown
from kft.arguments.calls import CheckedCalls
from kft.callbacks.best_state import Best, BestState, Restore, check_tolerance, resolve_restore
from kft.callbacks.learning_rate_warmup import LearningRateWarmup
from kft.callbacks.monitor import Monitor
from kft.callbacks.others import other_callbacks, refuse_swaps_at_epochs, report_stop_iteration
from kft.callbacks.stage_early_stopping import StageEarlyStopping, describe_rule
from kft.callbacks.stage_messages import print_best, print_stage
from kft.callbacks.stage_number import StageNumber
from kft.distribution.placement import check_placement
from kft.errors import InputError
from kft.printing import how_many
from kft.stages.optimizer import unscaled
from kft.stages.optimizer_internals import step_counter
from kft.stages.plan import BatchNorm, PlannedStage, plan
from kft.stages.regrouping import regroup, template
from kft.stages.solving import refuse_solving
from kft.stages.stage import Stage, checked_stages, stage_of_epoch

RestoreBest = Restore | None


class StagedUnfreezing(CheckedCalls, keras.callbacks.Callback):
    """Train a model in stages within one `fit`: first the head, then deeper and deeper blocks.

    At the first epoch of each stage the callback sets the `trainable` flags, gives the model an
    optimizer for exactly the weights that train, and rebuilds the compiled steps. Weights that
    trained before keep their optimizer state; newly unfrozen blocks start with their own step
    count, warmup and rate. It adds `stage` (from 1) and `learning_rate` (the head's) to the logs:
    put it before callbacks that write the logs, such as `CSVLogger`.

    The optimizers of all groups have the class and settings of the model's own, except for its
    learning rate. After `fit` the model keeps the last stage's flags and optimizer.

    Args:
        stages: List of `kft.Stage`; pass the sum of their `epochs` to `fit`.
        early_stopping: A `keras.callbacks.EarlyStopping` that ends a stage, and the run only in the
            last stage. Its `patience` and `start_from_epoch` count within the stage. Defaults to
            None: stages run all their epochs.
        batch_norm: `"frozen"` keeps the backbone's BatchNorm layers in inference mode; `"train"`
            trains them with their block. Defaults to `"frozen"`.
        restore_best: `"stage"` starts each stage from the weights and the optimizer state of the best
            epoch of the stage before, and ends with the best epoch of the last stage; `"run"` does the
            same, but ends with the weights of the best epoch of all stages; `"ends"` compares only
            the last epochs of the stages, and ends with the best of them; None restores nothing.
            Defaults to `"auto"`: `"run"` if `early_stopping` has `restore_best_weights=True`, and
            otherwise None.
        monitor: Name of the logged value by which epochs are compared, or a name and a direction such
            as `("val_kappa", "max")`. Defaults to the monitor of `early_stopping`, or `"val_loss"`.
        tolerance: By what fraction the end of a stage may be worse than the best end before it and
            still be kept, for `restore_best="ends"`; if negative, by what fraction it must be better.
            Defaults to 0.
        verbose: 1 prints a line at each stage, 0 nothing. Defaults to 1.

    Attributes:
        best: The epoch whose weights the model ends with (`value`, `epoch` and `stage`, counted from
            0); None before the end of the first stage, or if nothing is restored.
        group_rates: Learning rate of each group, by the names of the blocks, in the last step of the
            last epoch.

    Raises:
        InputError: At construction for invalid stages; when `fit` begins, before a step is taken, for
            stages that do not fit the model.

    Example:

    ```python
    stages = [
        kft.Stage(unfreeze=0, epochs=3, learning_rate=1e-3),
        kft.Stage(unfreeze=2, epochs=5, learning_rate=1e-4, warmup=0.1),
    ]
    model.fit(x, y, epochs=8, callbacks=[kft.callbacks.StagedUnfreezing(stages)])
    ```
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        early_stopping: keras.callbacks.EarlyStopping | None = None,
        batch_norm: BatchNorm = "frozen",
        restore_best: RestoreBest | Literal["auto"] = "auto",
        monitor: str | tuple[str, str] | None = None,
        tolerance: float = 0.0,
        verbose: int = 1,
    ) -> None:
        super().__init__()
        self.stages = checked_stages(stages)
        if not (
            early_stopping is None or isinstance(early_stopping, keras.callbacks.EarlyStopping)
        ):
            raise InputError(
                f"`early_stopping={shown(early_stopping)}`: pass a keras.callbacks.EarlyStopping or None."
            )
        check_choice("batch_norm", batch_norm, ("frozen", "train"))
        check_choice("restore_best", restore_best, (*get_args(Restore), None, "auto"))
        check_verbose(plain(verbose))
        if monitor is not None:
            Monitor.of(monitor)
        self._solved_elsewhere = False
        self.last_share: float | None = None  # of the last stage, if the caller of `fit` ends it
        check_tolerance(tolerance, restore_best)
        self.early_stopping, self.batch_norm = early_stopping, batch_norm
        self.restore_best, self.monitor = resolve_restore(restore_best, monitor, early_stopping)
        self.tolerance, self.verbose = tolerance, verbose
        self._reset()

    def _reset(self) -> None:
        self._planned: list[PlannedStage] = []
        self._template: Any = None
        self._index, self._epochs_done, self._stage_ended = -1, 0, False
        self._entered: list[int] = []
        self._rule: Any = None
        self._best: BestState | None = None
        if self.monitor is not None and self.restore_best is not None:
            self._best = BestState(self.monitor, self.restore_best, self.tolerance)
        self._steps_seen: int | None = None
        self._began = (-1, 0)  # the current epoch, and the steps taken before it
        self.group_rates: dict[str, float] = {}

    def leave_solving(self) -> None:
        """Declare that the caller of `fit` solves the head in a stage with `solve=True`."""
        self._solved_elsewhere = True

    @property
    def best(self) -> Best | None:
        """The epoch whose weights the model ends with; see the class."""
        return None if self._best is None else self._best.best

    @property
    def compared(self) -> BestState | None:
        """The comparison of epochs; None if nothing is compared."""
        return self._best

    @property
    def stage_index(self) -> int | None:
        """Index of the current stage, from 0; None before the first epoch."""
        return self._index if self._index >= 0 else None

    @property
    def stage_epochs(self) -> int:
        """How many epochs of the current stage are done."""
        return self._epochs_done

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check the stages against the model, before a step is taken."""
        self._reset()
        if not self._solved_elsewhere:
            refuse_solving(self.stages, "StagedUnfreezing in `model.fit`")
        report_stop_iteration(self)
        refuse_swaps_at_epochs(self)
        refuse_conflicts([one for one in other_callbacks(self) if one is not self])
        check_placement(self.model)
        self._template = template(self.model)
        self._planned = plan(self.model, self.stages, self.batch_norm)
        total, epochs = sum(stage.epochs for stage in self.stages), self.params.get("epochs")
        if epochs is not None and epochs < total:
            warnings.warn(
                f"fit(epochs={epochs}) ends before the stages do: they take up to "
                f"{how_many(total, 'epoch')}. Pass epochs={total}.",
                stacklevel=2,
            )

    @property
    def stage_ended(self) -> bool:
        """Whether the last stage is over; the next one begins with the next epoch."""
        return self._stage_ended

    def prepare(self, epoch: int) -> None:
        """Enter the stage of `epoch`, unless the model is in it already.

        `fit` does this when the epoch begins; call it before training another model that shares this
        one's layers.
        """
        if self._index < 0:
            self._enter(*stage_of_epoch(self.stages, epoch))
        elif self._stage_ended:
            if self._best is not None:
                self._best.end_stage(self.model)
            self._enter(self._index + 1, 0)

    def describe(self) -> dict[str, Any]:
        """Return the settings that affect the stages, ready for JSON."""
        return {
            "stages": [stage.to_dict() for stage in self.stages],
            "early_stopping": describe_rule(self.early_stopping),
            "batch_norm": self.batch_norm,
            "restore_best": self.restore_best,
            "monitor": None if self.monitor is None else [self.monitor.name, self.monitor.mode],
            "tolerance": self.tolerance,
        }

    def get_state(self) -> dict[str, Any]:
        """Return the progress through the stages; weights and optimizer state belong to the model."""
        optimizer = unscaled(self.model.optimizer)
        return {
            "entered": self._entered,
            "epochs_done": self._epochs_done,
            "stage_ended": self._stage_ended,
            "steps_seen": self._steps_seen,
            "began": self._began,
            "rule": None if self._rule is None else self._rule.get_state(),
            "best": None if self._best is None else self._best.get_state(),
            "schedules": optimizer.schedules if self._entered else None,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Put the model into the stage in which `get_state` was called.

        Earlier stages are entered without a step, for the optimizer's groups; values are restored separately.
        """
        if self._template is None:
            self.on_train_begin()
        self._steps_seen, self._began = state["steps_seen"], tuple(state["began"])
        for index in state["entered"]:
            self._enter(index, state["epochs_done"], announce=index == state["entered"][-1])
        if self._entered:
            unscaled(self.model.optimizer).schedules = state["schedules"]
            self._stage_ended = state["stage_ended"]
            self._rule.set_state(state["rule"])
        if self._best is not None and state["best"] is not None:
            self._best.set_state(state["best"])

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Enter the epoch's stage."""
        self.prepare(epoch)
        if self._began[0] != epoch:
            self._began = (epoch, self._steps_taken())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Extend the logs, and check whether the stage is over."""
        logs = {} if logs is None else logs
        self._steps_seen = self._steps_taken() - self._began[1]
        logs["stage"] = StageNumber(self._index + 1)
        logs["learning_rate"] = unscaled(self.model.optimizer).last_learning_rate
        rates = unscaled(self.model.optimizer).last_rates()
        groups = {g.name: g.variables for g in self._planned[self._index].groups if g.variables}
        self.group_rates = {name: rates[id(first)] for name, (first, *_) in groups.items()}
        if self._best is not None:
            self._best.end_epoch(self.model, epoch, self._index, logs)
        stopped = self._rule.epoch_ended(self.model, self._epochs_done, logs)
        self._epochs_done += 1
        self._stage_ended = stopped or self._epochs_done >= self.stages[self._index].epochs
        if self._stage_ended and self._index == len(self.stages) - 1:
            if self._best is not None:
                self._best.end_stage(self.model, compare=self.last_share is None)
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the best epoch of the run, and release what only the run needed."""
        if self._best is not None and self._entered:
            self._best.end_run(self.model)
            print_best(self._best, self.restore_best, self.last_share, verbose=bool(self.verbose))
        self._rule = self._template = None

    def _enter(self, index: int, epochs_done: int, announce: bool = True) -> None:
        planned = self._planned[index]
        planned.enter(self.model)
        steps = self.params.get("steps") or self._steps_seen
        total = None if steps is None else steps * planned.stage.epochs
        regroup(self.model, self._template, planned.groups, planned.stage, total)
        self._index, self._epochs_done, self._stage_ended = index, epochs_done, False
        self._entered = [*self._entered, index]
        self._rule = StageEarlyStopping(copy.copy(self.early_stopping), self.model)
        if self._best is not None:
            self._best.begin_stage(self.model)
        if self.verbose and announce:
            print_stage(self.model, planned.stage, index + 1, len(self.stages))

    def _steps_taken(self) -> int:
        return int(ops.convert_to_numpy(step_counter(unscaled(self.model.optimizer))))


def refuse_conflicts(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse callbacks that would set the same rates and flags as the stages.

    Args:
        callbacks: The other callbacks in the fit of a `StagedUnfreezing`.

    Raises:
        InputError: If one of them is another `StagedUnfreezing`, or a `LearningRateWarmup`.
    """
    for one in callbacks:
        if isinstance(one, (StagedUnfreezing, LearningRateWarmup)):
            raise InputError(
                f"`callbacks` contain a {type(one).__name__}, but the stages already set what trains and "
                "at which rate: leave it out, and set unfreeze, learning_rate, warmup and decay in each "
                "kft.Stage."
            )
