"""Staged unfreezing inside one `model.fit`."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import keras
from keras import ops

from kft.arguments import check_choice, check_verbose, plain, shown
from kft.arguments.calls import CheckedCalls
from kft.callbacks.best_state import Best, BestState, Restore, check_tolerance, what_is_restored
from kft.callbacks.learning_rate_warmup import LearningRateWarmup
from kft.callbacks.monitor import Monitor
from kft.callbacks.others import other_callbacks, refuse_swaps_at_epochs, report_stop_iteration
from kft.callbacks.stage_early_stopping import StageEarlyStopping, describe_rule
from kft.callbacks.stage_messages import print_best, print_stage
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
    """Trains a model in stages inside one `fit`: the head first, then deeper and deeper blocks.

    At the first epoch of each stage the callback sets the `trainable` flags, gives the model an
    optimizer for exactly what trains then and remakes the compiled steps. What was training goes on
    with its optimizer state; newly unfrozen blocks start with a step count, warmup and rate of their
    own. It adds `stage` (counted from 1) and `learning_rate` (the head's) to the logs: put it in
    front of callbacks that write the logs, such as `CSVLogger`.

    The model's own optimizer is the pattern for each group's: its class and settings count, its
    learning rate does not. After `fit` the model keeps the last stage's flags and optimizer.

    Args:
        stages: list of `kft.Stage`; `fit` should be given the sum of their `epochs`.
        early_stopping: a `keras.callbacks.EarlyStopping` that ends a stage instead of the run; only
            in the last stage does it end the run. Its `patience` and `start_from_epoch` count within
            the stage. Defaults to None: stages take all their epochs.
        batch_norm: `"frozen"` keeps the backbone's BatchNorm layers in inference mode; `"train"`
            trains them with their block. Defaults to `"frozen"`.
        restore_best: `"stage"` starts each stage from the weights and the optimizer state of the best
            epoch of the one before, and ends with the best epoch of the last stage; `"run"` does the
            same, and ends with the weights of the best epoch of all stages; `"ends"` compares only
            the last epochs of the stages, and ends with the best of them; None restores nothing.
            Defaults to `"auto"`: `"run"` where `early_stopping` has `restore_best_weights=True`, and
            otherwise None.
        monitor: name of the logged value by which epochs are compared, or a name and a direction such
            as `("val_kappa", "max")`. Defaults to the monitor of `early_stopping`, or `"val_loss"`.
        tolerance: how much worse, as a share, the end of a stage may be than the best end before it
            and still remain, for `restore_best="ends"`. Defaults to 0.
        verbose: 1 prints a line at each stage, 0 nothing. Defaults to 1.

    Attributes:
        best: the epoch whose weights the model ends with (`value`, `epoch` and `stage`, counted from
            0); None as long as no stage has ended, or if nothing is restored.
        group_rates: learning rate of each group, by the names of the blocks, in the last step of the
            epoch that ended last.

    Raises:
        InputError: at construction for bad stages; when `fit` begins, before a step is taken, for
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
        check_tolerance(tolerance, restore_best)
        self.early_stopping, self.batch_norm = early_stopping, batch_norm
        self.restore_best, self.monitor = what_is_restored(restore_best, monitor, early_stopping)
        self.tolerance, self.verbose = tolerance, verbose
        self._reset()

    def _reset(self) -> None:
        self._planned: list[PlannedStage] = []
        self._template: Any = None
        self._index, self._epochs_done = -1, 0
        self._stage_ended = False
        self._entered: list[int] = []
        self._rule: Any = None
        self._best: BestState | None = None
        if self.monitor is not None and self.restore_best is not None:
            self._best = BestState(self.monitor, self.restore_best, self.tolerance)
        self._steps_seen: int | None = None
        self._began = (-1, 0)  # the epoch that runs, and the steps taken before it
        self.group_rates: dict[str, float] = {}

    def leave_solving(self) -> None:
        """Say that whoever runs the fit solves the head in a stage that asks for it."""
        self._solved_elsewhere = True

    @property
    def best(self) -> Best | None:
        """The epoch whose weights the model ends with; see the class."""
        return None if self._best is None else self._best.best

    def offer(self, logs: Mapping[str, Any], share: float) -> bool:
        """As `BestState.offer`, once the last stage has ended; False where nothing is compared."""
        return self._best is not None and self._best.offer(logs, share)

    @property
    def stage_index(self) -> int | None:
        """Index of the stage that runs, from 0; None before the first epoch."""
        return self._index if self._index >= 0 else None

    @property
    def stage_epochs(self) -> int:
        """How many epochs of the stage that runs are done."""
        return self._epochs_done

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Checks the stages against the model, before a step is taken."""
        self._reset()
        if not self._solved_elsewhere:
            refuse_solving(self.stages, "StagedUnfreezing in `model.fit`")
        report_stop_iteration(self)
        refuse_swaps_at_epochs(self)
        refuse_rivals([one for one in other_callbacks(self) if one is not self])
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
        """Whether the stage that ran last is over; the next one begins with the next epoch."""
        return self._stage_ended

    def prepare(self, epoch: int) -> None:
        """Enters the stage that `epoch` belongs to, unless the model is in it already.

        `fit` does this as the epoch begins; whoever trains another model on this one's layers does
        it before.
        """
        if self._index < 0:
            self._enter(*stage_of_epoch(self.stages, epoch))
        elif self._stage_ended:
            if self._best is not None:
                self._best.end_stage(self.model)
            self._enter(self._index + 1, 0)

    def describe(self) -> dict[str, Any]:
        """What decides the stages, ready for JSON."""
        return {
            "stages": [stage.to_dict() for stage in self.stages],
            "early_stopping": describe_rule(self.early_stopping),
            "batch_norm": self.batch_norm,
            "restore_best": self.restore_best,
            "monitor": None if self.monitor is None else [self.monitor.name, self.monitor.mode],
            "tolerance": self.tolerance,
        }

    def get_state(self) -> dict[str, Any]:
        """Where the run is; weights and optimizer state belong to the model."""
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
        """Puts the model into the stage that `get_state` was called in.

        The stages before it are entered once more, without a step, since the optimizer's groups
        depend on them. The values of weights and optimizer are up to whoever kept them.
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
        """Enters the epoch's stage."""
        self.prepare(epoch)
        if self._began[0] != epoch:
            self._began = (epoch, self._steps_taken())

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds to the logs, and asks whether the stage is over."""
        logs = {} if logs is None else logs
        self._steps_seen = self._steps_taken() - self._began[1]
        logs["stage"] = self._index + 1
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
                self._best.end_stage(self.model)
            self.model.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Go back to the best epoch of the run, and release what only the run needed."""
        if self._best is not None and self._entered:
            self._best.end_run(self.model)
            print_best(self._best, self.restore_best, verbose=bool(self.verbose))
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


def refuse_rivals(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse callbacks that would set the same rates and flags as stages do.

    Args:
        callbacks: those that stand beside the `StagedUnfreezing` of a fit.

    Raises:
        InputError: one of them is another `StagedUnfreezing`, or a `LearningRateWarmup`.
    """
    for one in callbacks:
        if isinstance(one, (StagedUnfreezing, LearningRateWarmup)):
            raise InputError(
                f"`callbacks` hold a {type(one).__name__} beside the stages, which would set what "
                "trains and at which rate in its place: leave it out, and say in each kft.Stage what "
                "it is for (unfreeze, learning_rate, warmup, decay)."
            )
