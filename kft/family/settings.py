"""The settings of a fit: one object that checks them and knows which of them identify the run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import keras

from kft.arguments import check_choice, check_seed, check_verbose, check_whole, make_plain, shown
from kft.cache.settings import Cache
from kft.callbacks import RelativeEarlyStopping, RunCheckpoint
from kft.callbacks.monitor import Monitor
from kft.callbacks.stage_early_stopping import describe_rule
from kft.callbacks.staged_unfreezing import RestoreBest
from kft.data.balance import BALANCES
from kft.data.examples import Examples
from kft.errors import InputError
from kft.family.hooks import Family
from kft.family.policies import Finish, Resume, check_interpolated
from kft.family.usual import TEMPERED, usual_end, usual_plan
from kft.printing import how_many
from kft.runs.identity import identity, may_change
from kft.stages.lengths import USUAL_BATCH
from kft.stages.optimizer import check_optimizer
from kft.stages.plan import BatchNorm
from kft.stages.stage import Stage, checked_stages
from kft.tasks.calibrated_loss import CALIBRATED_LOSS
from kft.training.staged import check_callbacks

_PATIENCE = 3
FEW = 200  # with fewer validation examples, chance decides which epoch is better

# Checked before a run directory is compared: a mistake must not look like another plan.
CHOICES: dict[str, tuple[Any, ...]] = {
    "batch_norm": get_args(BatchNorm),
    "balance": (None, *BALANCES),
    "jit_compile": ("auto", True, False, None),
    "on_bad_example": ("error", "skip"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FitSettings:
    """The arguments of `Recipe.fit` besides the data; that method documents them.

    Every field is part of the run's identity, by which a directory is recognized as this run's, unless
    its metadata say why it may change.

    Raises:
        InputError: If a value is out of its range, or two of them contradict each other.
    """

    stages: Sequence[Stage]  # empty until they are resolved
    run_dir: Path | None = dataclasses.field(
        metadata=may_change("the place of a run does not affect it")
    )
    batch_size: Any  # "auto" until it is resolved
    callbacks: Sequence[keras.callbacks.Callback] = dataclasses.field(
        metadata=may_change("code cannot be compared")
    )
    early_stopping: Any
    restore_best: RestoreBest | Literal["auto"]
    monitor: str | tuple[str, str] | None
    tolerance: float | None  # None until it is resolved
    interpolate: bool | float | str  # "auto" until it is resolved
    batch_norm: BatchNorm
    optimizer: keras.optimizers.Optimizer | None
    balance: str | None
    augment: Any
    augmentation: Callable | None = dataclasses.field(metadata=may_change("made from augment"))
    jit_compile: bool | str
    cache: Cache
    resume: Resume = dataclasses.field(
        metadata=may_change("a resumed run has the result of an uninterrupted one")
    )
    finish: Finish
    distribution: Any = dataclasses.field(metadata=may_change("the result does not depend on it"))
    seed: int
    on_bad_example: str = dataclasses.field(
        metadata=may_change("the examples that it leaves are part of the identity")
    )
    verbose: int | str = dataclasses.field(metadata=may_change("training does not see it"))
    contrast: bool = False  # whether a contrastive warm start comes first
    rules: tuple[str, ...] = dataclasses.field(
        default=(), metadata=may_change("explains other settings")
    )

    def __post_init__(self) -> None:
        make_plain(self)
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        check_verbose(self.verbose)
        check_callbacks(self.callbacks)
        if self.run_dir is not None and any(isinstance(c, RunCheckpoint) for c in self.callbacks):
            raise InputError(
                "`callbacks` contain a RunCheckpoint although `run_dir` commits the run already, and each "
                "would undo what the other restores: leave it out, or pass no run_dir."
            )
        check_optimizer(self.optimizer)
        if not is_auto(self.batch_size):
            check_whole("batch_size", self.batch_size, "examples")
        check_seed(self.seed)
        _check_views(self.cache.views, self.augmentation)
        if self.resume.retries and self.run_dir is None:
            raise InputError(
                f"`retries={self.resume.retries}` resumes from a commit, which needs a run_dir: pass one too."
            )
        rule = stopping_rule(self.early_stopping, self.monitor)
        if self.monitor is None and isinstance(rule, keras.callbacks.EarlyStopping):
            check_interpolated(self.interpolate, rule.monitor)
        if self.stages:
            object.__setattr__(self, "stages", checked_stages(self.stages))
            object.__setattr__(self, "early_stopping", rule)
            if self.restore_best == "auto":
                object.__setattr__(self, "restore_best", "run")
            if is_auto(self.augment):
                object.__setattr__(self, "augment", None)
            if is_auto(self.batch_size):
                object.__setattr__(self, "batch_size", USUAL_BATCH)
            if self.tolerance is None:
                object.__setattr__(self, "tolerance", 0.0)
            if is_auto(self.interpolate):
                object.__setattr__(self, "interpolate", False)

    def resolved(
        self, recipe: Family, train: Any, validation: Any, *, split: bool = False
    ) -> FitSettings:
        """Return the settings with every open value resolved from the recipe and its data.

        Stages that a person chose end by an automatic rule, and are compared by the loss. A recipe's
        default stages run to their end, where their rates are zero. With at least 200 validation
        examples their epochs are compared by the task's objective. With fewer, of which an epoch may have
        more right by chance, only the states at the ends of the stages are compared, by the loss, which
        also takes in how sure the model was of each example; from 16 examples on, in a task whose scores
        are finally divided by a temperature, by the loss at the best temperature. How much worse a deeper
        stage may be, and where it ends, is in `kft.family.usual.usual_end`. Few training examples get
        smaller batches, see `kft.stages.lengths.batch_size_for`.

        Without validation data it is unknown whether a deeper stage helps: only the recipe's first
        stage, the head, is trained, and whatever needs validation is left out.

        Args:
            recipe: The recipe.
            train: The training data.
            validation: The validation data, or None.
            split: Whether they were split off the training data.
        """
        if validation is None:
            return self._unvalidated(recipe, train)
        if self.stages:
            return self._with_warm_start(recipe, train, finish=self.finish.resolved(False, False))
        ends = isinstance(train, Examples)
        chosen = None if is_auto(self.batch_size) else self.batch_size
        size, stages = usual_plan(recipe, train, chosen)
        found: dict[str, Any] = {"batch_size": size}
        if chosen is None and size != USUAL_BATCH:
            found["rules"] = (_batch_size_rule(size, recipe.row_count(train)),)
        few = isinstance(validation, Examples) and len(validation) < FEW
        found["stages"] = stages
        found["finish"] = self.finish.resolved(True, split and few and stages[0].solve)
        if ends:
            if self.monitor is None:
                count = len(validation) if isinstance(validation, Examples) else FEW
                found["monitor"] = self._monitor_for(recipe, count)
            if is_auto(self.early_stopping):
                found["early_stopping"] = None
            if self.restore_best == "auto":
                found["restore_best"] = "ends" if few else "run"
            compares_ends = found.get("restore_best", self.restore_best) == "ends"
            if few and compares_ends:
                found |= usual_end(recipe, len(validation), self)
            if is_auto(self.augment) and stages[0].solve and recipe.task.augmentable:
                found["augment"] = recipe.usual_augmentation
                found["augmentation"] = recipe.augmentation(recipe.usual_augmentation)
        found.setdefault("tolerance", self.tolerance or 0.0)
        found.setdefault("interpolate", False if is_auto(self.interpolate) else self.interpolate)
        return self._with_warm_start(recipe, train, **found)

    def _with_warm_start(self, recipe: Family, train: Any, **found: Any) -> FitSettings:
        """Return the settings with some values replaced, and a warm start if the recipe's rule asks for it."""
        rule = recipe.few_shot_rule(train, default_stages=not self.stages)
        resolved = dataclasses.replace(self, **found)
        if rule is None:
            return resolved
        return dataclasses.replace(resolved, contrast=True, rules=(*resolved.rules, rule))

    def _monitor_for(self, recipe: Family, examples: int) -> tuple[str, str]:
        """Return the value by which epochs are compared, given the number of validation examples.

        With `balance` the loss is used: an objective such as accuracy does not weight classes.
        """
        if examples >= FEW:
            return recipe.task.objective if self.balance is None else ("val_loss", "min")
        calibrated = examples >= TEMPERED and recipe.task.calibrated_loss() is not None
        return (f"val_{CALIBRATED_LOSS}" if calibrated else "val_loss", "min")

    def _unvalidated(self, recipe: Family, train: Examples) -> FitSettings:
        """Return the settings of a fit whose examples are too few to spare any for validation."""
        found = (
            self._with_warm_start(recipe, train)
            if self.stages
            else self.resolved(recipe, train, train)
        )
        rule = found.early_stopping
        return dataclasses.replace(
            found,
            stages=self.stages or found.stages[:1],
            early_stopping=None if rule is None or rule.monitor.startswith("val_") else rule,
            restore_best=None,
            monitor=None,
            tolerance=0.0,
            interpolate=False,
            finish=dataclasses.replace(self.finish, calibrate=False, refit=False, report=False),
        )

    def identity(self) -> dict[str, Any]:
        """Return every setting that affects what the run computes, as JSON values."""
        found = identity(self)
        found |= {"cache": identity(self.cache), "finish": identity(self.finish)}
        found["stages"] = [stage.to_dict() for stage in self.stages]
        found["early_stopping"] = describe_rule(self.early_stopping)
        if not isinstance(self.augment, str):
            found["augment"] = self.augmentation
        if self.optimizer is not None:
            found["optimizer"] = keras.saving.serialize_keras_object(self.optimizer)
            # Keras numbers names by what else the process has created.
            found["optimizer"]["config"].pop("name", None)
        return as_json(found)


def _batch_size_rule(size: int, examples: int) -> str:
    """Return a sentence about the batch size for few examples."""
    steps = how_many(-(-examples // size), "step")
    return f"Batches of {size} examples, {steps} per epoch: few examples need small batches."


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
        monitor: The monitor of the automatic rule. Defaults to `"val_loss"`.

    Raises:
        InputError: If `chosen` is something else.
    """
    if isinstance(chosen, str) and chosen == "auto":
        watched = Monitor.of("val_loss" if monitor is None else monitor)
        return RelativeEarlyStopping(watched.name, mode=watched.mode, patience=_PATIENCE)
    if chosen is None or isinstance(chosen, keras.callbacks.EarlyStopping):
        return chosen
    raise InputError(
        f"`early_stopping={shown(chosen)}`: pass 'auto', None or a keras.callbacks.EarlyStopping."
    )


def as_json(content: Any) -> Any:
    """Convert a tree of settings to JSON values; objects become their descriptions."""
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
    """Check that augmented views of the examples can be computed once and kept."""
    if views and not hasattr(augmentation, "describe"):
        raise InputError(
            f"`cache=kft.Cache(views={views})` needs an augmentation by name or by layers, which identify the "
            f"views on disk, not {augmentation!r}: pass for example augment='light'."
        )
    if views and augmentation.soft_targets:
        raise InputError(
            f"`cache=kft.Cache(views={views})`: MixUp and CutMix mix targets, which kept views do not hold: "
            "pass augment='light' or 'standard', or layers without them."
        )
