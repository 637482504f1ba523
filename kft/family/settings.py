"""The settings of a fit: one object that checks them and says which of them identify the run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import keras

from kft.arguments import (
    check_choice,
    check_flag,
    check_training,
    check_verbose,
    check_whole,
    make_plain,
)
from kft.callbacks import RelativeEarlyStopping, RunCheckpoint
from kft.callbacks.best_state import Restore
from kft.callbacks.monitor import Monitor
from kft.callbacks.run_checkpoint import read_interval
from kft.callbacks.stage_early_stopping import describe_rule
from kft.callbacks.staged_unfreezing import RestoreBest
from kft.data.balance import BALANCES
from kft.data.examples import Examples
from kft.errors import InputError
from kft.family.hooks import Family
from kft.stages.lengths import trained_head
from kft.stages.optimizer import check_optimizer
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage, checked_stages
from kft.training.staged import check_callbacks

_PATIENCE = 3
FEW = 200  # validation examples below which an epoch is better or worse than another by chance

# Checked before a run directory is looked at: a mistake is not another plan.
CHOICES: dict[str, tuple[Any, ...]] = {
    "batch_norm": get_args(BatchNorm),
    "balance": (None, *BALANCES),
    "cache": ("auto", True, False),
    "cache_dtype": ("float32", "float16", "bfloat16"),
    "jit_compile": ("auto", True, False, None),
    "on_bad_example": ("error", "skip"),
    "restore_best": ("auto", *get_args(Restore), None),
}
_FLAGS = ("keep_examples", "allow_changed_plan", "report")


def may_change(reason: str) -> dict[str, str]:
    """Return the metadata of a field that is no part of a run's identity.

    Args:
        reason: Why an unfinished run may go on, and a finished one be loaded, with another value.
    """
    return {"may_change": reason}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FitSettings:
    """The arguments of `Recipe.fit` besides the data; that method documents them.

    Every field is part of the run's identity, by which a directory is known to hold this run, unless
    its metadata say why it may change.

    Raises:
        InputError: If a value is out of its range, or two of them do not go together.
    """

    stages: Sequence[Stage]  # none as long as they are not decided
    run_dir: Path | None = dataclasses.field(metadata=may_change("where a run lies"))
    batch_size: int
    validation_split: float = dataclasses.field(
        metadata=may_change("the validation data that it gives are part of the identity")
    )
    callbacks: Sequence[keras.callbacks.Callback] = dataclasses.field(
        metadata=may_change("code cannot be compared")
    )
    early_stopping: Any
    restore_best: RestoreBest | Literal["auto"]
    monitor: str | tuple[str, str] | None
    batch_norm: BatchNorm
    optimizer: keras.optimizers.Optimizer | None
    balance: str | None
    augment: Any
    augmentation: Callable | None = dataclasses.field(metadata=may_change("is what augment says"))
    jit_compile: bool | str
    steps_per_epoch: int | None
    keep_examples: bool = dataclasses.field(metadata=may_change("training does not see it"))
    cache: bool | str = dataclasses.field(
        metadata=may_change("a run that goes on keeps what was decided when it began")
    )
    cache_dir: Path | None = dataclasses.field(metadata=may_change("where features lie"))
    cache_dtype: str
    cached_views: int
    checkpoint_every: Any = dataclasses.field(metadata=may_change("training does not see it"))
    allow_changed_plan: bool = dataclasses.field(metadata=may_change("about the identity itself"))
    retries: int = dataclasses.field(metadata=may_change("matters only after a loss that is NaN"))
    distribution: Any = dataclasses.field(metadata=may_change("the result does not depend on it"))
    seed: int
    on_bad_example: str = dataclasses.field(
        metadata=may_change("the examples that it leaves are part of the identity")
    )
    report: bool = dataclasses.field(metadata=may_change("comes after the training"))
    verbose: int | str = dataclasses.field(metadata=may_change("training does not see it"))

    def __post_init__(self) -> None:
        make_plain(self)
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        for name in _FLAGS:
            check_flag(name, getattr(self, name))
        check_verbose(self.verbose)
        check_callbacks(self.callbacks)
        if self.run_dir is not None and any(isinstance(c, RunCheckpoint) for c in self.callbacks):
            raise InputError(
                "`callbacks` hold a RunCheckpoint beside `run_dir`, which commits the run already, and "
                "the one would undo what the other restores: leave it out, or pass no run_dir."
            )
        check_optimizer(self.optimizer)
        check_training(
            batch_size=self.batch_size,
            seed=self.seed,
            validation_split=self.validation_split,
            steps_per_epoch=self.steps_per_epoch,
            retries=self.retries,
        )
        check_whole("cached_views", self.cached_views, "views", least=0)
        _check_views(self.cached_views, self.augmentation)
        if self.retries and self.run_dir is None:
            raise InputError(f"`retries={self.retries}` resume from a commit: pass run_dir too.")
        if self.monitor is not None:
            object.__setattr__(self, "monitor", dataclasses.astuple(Monitor.of(self.monitor)))
        read_interval(self.checkpoint_every, "checkpoint_every")
        rule = stopping_rule(self.early_stopping, self.monitor)
        if self.stages:
            object.__setattr__(self, "stages", checked_stages(self.stages))
            object.__setattr__(self, "early_stopping", rule)
            if self.restore_best == "auto":
                object.__setattr__(self, "restore_best", "run")
            if is_auto(self.augment):
                object.__setattr__(self, "augment", None)

    def decided(self, recipe: Family, train: Any, validation: Any) -> FitSettings:
        """Return the settings with what is left open decided, by the recipe and its data.

        Stages that a person chose end by an automatic rule, and are compared by the loss. The
        recipe's own run to their end, where their rates are zero. With at least 200 validation
        examples their epochs are compared by the task's objective; with fewer, of which an epoch may
        have more right by chance, the states that the stages end with are, by the loss, to which
        every example adds how sure the model was of it.

        Args:
            recipe: The recipe.
            train: The training data.
            validation: The validation data.
        """
        if self.stages:
            return self
        ends = isinstance(train, Examples)
        steps = -(-len(train) // self.batch_size) if ends else self.steps_per_epoch
        stages = checked_stages(recipe.default_stages(steps))
        if stages[0].solve and not ends:  # a stream cannot be held in memory
            stages = (trained_head(steps), *stages[1:])
        found: dict[str, Any] = {"stages": stages}
        if stages[0].solve:
            few = isinstance(validation, Examples) and len(validation) < FEW
            if self.monitor is None:
                found["monitor"] = "val_loss" if few else recipe.task.objective
            if is_auto(self.early_stopping):
                found["early_stopping"] = None
            if self.restore_best == "auto":
                found["restore_best"] = "ends" if few else "run"
            if is_auto(self.augment) and ends and recipe.task.augmentable:
                found["augment"] = recipe.usual_augmentation
                found["augmentation"] = recipe.augmentation(recipe.usual_augmentation)
        return dataclasses.replace(self, **found)

    def identity(self) -> dict[str, Any]:
        """Return every setting that decides what the run computes, as JSON values."""
        found = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if "may_change" not in field.metadata
        }
        found["stages"] = [stage.to_dict() for stage in self.stages]
        found["early_stopping"] = describe_rule(self.early_stopping)
        if not isinstance(self.augment, str):
            found["augment"] = self.augmentation
        if self.optimizer is not None:
            found["optimizer"] = keras.saving.serialize_keras_object(self.optimizer)
            # Keras numbers names by what else the process has made.
            found["optimizer"]["config"].pop("name", None)
        return as_json(found)


def is_auto(value: Any) -> bool:
    """Return whether a setting is left to kft."""
    return isinstance(value, str) and value == "auto"


def stopping_rule(
    chosen: Any, monitor: str | tuple[str, str] | None = None
) -> keras.callbacks.EarlyStopping | None:
    """Return the rule that ends a stage.

    Args:
        chosen: `"auto"` for three epochs in which the monitor does not improve by a thousandth, None,
            or a Keras `EarlyStopping`.
        monitor: What the automatic rule watches. Defaults to `"val_loss"`.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(chosen, str) and chosen == "auto":
        watched = Monitor.of("val_loss" if monitor is None else monitor)
        return RelativeEarlyStopping(watched.name, mode=watched.mode, patience=_PATIENCE)
    if chosen is None or isinstance(chosen, keras.callbacks.EarlyStopping):
        return chosen
    raise InputError(
        f"`early_stopping={chosen!r}`: pass 'auto', None or a keras.callbacks.EarlyStopping."
    )


def as_json(content: Any) -> Any:
    """Return a tree of settings as JSON values, objects by what describes them."""
    return json.loads(json.dumps(content, default=_described))


def _described(value: Any) -> Any:
    if hasattr(value, "describe"):
        return value.describe()
    if hasattr(value, "get_config"):
        return {type(value).__name__: value.get_config()}
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}:{value.__qualname__}"
    return repr(value) if isinstance(value, (Path, tuple)) else type(value).__qualname__


def _check_views(views: int, augmentation: Any) -> None:
    """Check that views of the examples can be made once and kept."""
    if views and not hasattr(augmentation, "describe"):
        raise InputError(
            f"`cached_views={views}` needs an augmentation by name or by layers, which identify the "
            f"views on disk, not {augmentation!r}: pass for example augment='light'."
        )
    if views and augmentation.soft_targets:
        raise InputError(
            f"`cached_views={views}`: MixUp and CutMix mix targets, which kept views do not hold: "
            "pass augment='light' or 'standard', or layers without them."
        )
