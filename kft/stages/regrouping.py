"""The optimizer of a stage, built from the user's optimizer and that of the stage before."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Sequence, Set
from typing import Any

import keras
from keras import ops

from kft.errors import InputError
from kft.stages.optimizer import GroupedOptimizer, unscaled
from kft.stages.optimizer_internals import decays, step_counter
from kft.stages.plan import Group
from kft.stages.schedules import WarmupSchedule
from kft.stages.stage import Stage


@dataclasses.dataclass(frozen=True, eq=False)
class Template:
    """The class, settings and weight decay exclusions of the user's optimizer, for each group's own."""

    kind: type[keras.optimizers.Optimizer]
    config: dict[str, Any]
    undecayed: tuple[keras.Variable, ...]
    global_clipnorm: float | None
    loss_scale_factor: float | None
    uses_average: bool

    def make(self, rate: WarmupSchedule, others: Set[str]) -> keras.optimizers.Optimizer:
        """Create an optimizer for a new group, with a name that is not among the others.

        The name is part of the paths of the optimizer's variables.
        """
        base = re.sub(r"_\d+$", "", self.config["name"])
        names = (f"{base}_{number}" for number in itertools.count())
        name = next(name for name in names if name not in others)
        optimizer = self.kind.from_config({**self.config, "name": name, "learning_rate": 0.0})
        optimizer.learning_rate = rate
        optimizer.exclude_from_weight_decay(var_list=list(self.undecayed))
        return optimizer


def template(model: keras.Model) -> Template:
    """Return the template from the optimizer that `model` was compiled with.

    Raises:
        InputError: If the model is not compiled, or its optimizer cannot be split into groups.
    """
    optimizer = unscaled(model.optimizer)
    clipnorm, loss_scale = None, None
    if isinstance(optimizer, GroupedOptimizer):
        clipnorm, loss_scale = optimizer.global_clipnorm, optimizer.loss_scale_factor
        optimizer = optimizer.group_optimizers[0]
    elif optimizer is None:
        raise InputError("The model is not compiled: call model.compile(...) before fit.")
    elif isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise InputError(
            "`optimizer` is a MultiOptimizer: compile the model with a single optimizer, such as "
            "keras.optimizers.AdamW(); the stages give each group of blocks its own copy of it."
        )
    else:
        clipnorm, loss_scale = optimizer.global_clipnorm, optimizer.loss_scale_factor
    if clipnorm is not None and optimizer.gradient_accumulation_steps:
        raise InputError(
            f"`global_clipnorm={clipnorm}` with `gradient_accumulation_steps="
            f"{optimizer.gradient_accumulation_steps}` cannot be kept across groups: use `clipnorm`, "
            "or a larger batch instead of accumulation."
        )
    undecayed = tuple(variable for variable in model.weights if not decays(optimizer, variable))
    config = optimizer.get_config() | {"global_clipnorm": None, "loss_scale_factor": None}
    return Template(
        type(optimizer), config, undecayed, clipnorm, loss_scale, bool(optimizer.use_ema)
    )


def regroup(
    model: keras.Model,
    template: Template,
    groups: Sequence[Group],
    stage: Stage,
    steps: int | None,
) -> None:
    """Give `model` an optimizer for exactly the weights that train now.

    Variables that trained before keep their optimizer, with its slots and step count; the others
    get a new one. The scale and counter of mixed precision's loss scaling are kept.

    Args:
        model: A compiled model with the `trainable` flags of the stage.
        template: The template for new groups.
        groups: The groups that train, the head first.
        stage: The stage, for its warmup and decay.
        steps: Batches in the whole stage, None if unknown.
    """
    scaling = model.optimizer
    old = unscaled(scaling)
    with strategy_scope(model):
        optimizer = _grouped(old, template, groups, stage, steps)
        _install(model, optimizer, scaling, model.trainable_variables)


def reorder(model: keras.Model, variables: Sequence[keras.Variable]) -> None:
    """Rebuild the model's grouped optimizer for the same variables in another order."""
    scaling, old = model.optimizer, unscaled(model.optimizer)
    with strategy_scope(model):
        optimizer: Any = GroupedOptimizer(
            old.group_optimizers,
            old.groups,
            global_clipnorm=old.global_clipnorm,
            loss_scale_factor=old.loss_scale_factor,
        )
        _install(model, optimizer, scaling, variables)


def _install(
    model: keras.Model, optimizer: Any, scaling: Any, variables: Sequence[keras.Variable]
) -> None:
    """Set the model's optimizer, with loss scaling if the old one had it."""
    scaled = isinstance(scaling, keras.optimizers.LossScaleOptimizer)
    if scaled:
        optimizer = _rescaled(optimizer, scaling)
    optimizer.build(variables)
    taken = ops.convert_to_numpy(step_counter(unscaled(scaling)))
    step_counter(unscaled(optimizer)).assign(taken)
    if scaled and scaling.built:
        optimizer.dynamic_scale.assign(ops.convert_to_numpy(scaling.dynamic_scale))
        optimizer.step_counter.assign(ops.convert_to_numpy(scaling.step_counter))
    model.optimizer = optimizer
    remake_functions(model)


def remake_functions(model: keras.Model) -> None:
    """Rebuild the compiled steps, which contain the old `trainable` flags."""
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    if model.predict_function is not None:
        model.make_predict_function(force=True)


def describe_optimizer(model: keras.Model) -> dict[str, Any]:
    """Return class and settings of the model's optimizer; for a grouped one, those of its groups."""
    optimizer = unscaled(model.optimizer)
    grouped = isinstance(optimizer, GroupedOptimizer)
    if grouped:
        optimizer = optimizer.group_optimizers[0]
    config = {
        **optimizer.get_config(),
        "scales_loss": unscaled(model.optimizer) is not model.optimizer,
    }
    for name in ("name", "learning_rate") if grouped else ("name",):
        config.pop(name, None)
    return {"class": type(optimizer).__name__, **config}


def strategy_scope(model: keras.Model) -> contextlib.AbstractContextManager:
    """Return the scope of the model's tf.distribute strategy, in which to create its variables.

    Outside of it each replica would count every step again, and training would silently go wrong.
    """
    strategy = getattr(model, "distribute_strategy", None)
    return contextlib.nullcontext() if strategy is None else strategy.scope()


def _grouped(
    old: keras.optimizers.Optimizer,
    template: Template,
    groups: Sequence[Group],
    stage: Stage,
    steps: int | None,
) -> GroupedOptimizer:
    keepers = _keepers(old, template, groups)
    names = {keeper.name for keeper in keepers.values()}
    optimizers: list[keras.optimizers.Optimizer] = []
    members: list[list[keras.Variable]] = []
    for group in groups:
        parts: dict[int, list[keras.Variable]] = {}
        kept: dict[int, keras.optimizers.Optimizer] = {}
        for variable in group.variables:
            keeper = keepers.get(id(variable))
            parts.setdefault(id(keeper), []).append(variable)
            if keeper is not None:
                kept[id(keeper)] = keeper
        for key, variables in parts.items():
            keeper = kept.get(key)
            rate = _rate(group.learning_rate, stage, steps, keeper)
            if keeper is None:
                keeper = template.make(rate, names)
                names.add(keeper.name)
            else:
                keeper.learning_rate = rate
            optimizers.append(keeper)
            members.append(variables)
    return GroupedOptimizer(
        optimizers,
        members,
        global_clipnorm=template.global_clipnorm,
        loss_scale_factor=template.loss_scale_factor,
    )


def _keepers(
    old: keras.optimizers.Optimizer, template: Template, groups: Sequence[Group]
) -> dict[int, keras.optimizers.Optimizer]:
    """Return, for each variable that stays in its group, the optimizer of that group.

    A group that loses or splits its members keeps its optimizer only without moving averages,
    since those are updated for all members of a group at once.
    """
    if not isinstance(old, GroupedOptimizer):
        return {}
    place = {id(v): index for index, group in enumerate(groups) for v in group.variables}
    keepers: dict[int, keras.optimizers.Optimizer] = {}
    for optimizer, members in zip(old.group_optimizers, old.groups, strict=True):
        homes = {place.get(id(variable)) for variable in members}
        if template.uses_average and len(homes) > 1:
            continue
        home = min((index for index in homes if index is not None), default=None)
        for variable in members:
            if home is not None and place.get(id(variable)) == home:
                keepers[id(variable)] = optimizer
    return keepers


def _rate(
    peak: float, stage: Stage, steps: int | None, keeper: keras.optimizers.Optimizer | None
) -> WarmupSchedule:
    start, initial = 0, 0.0
    if keeper is not None:
        start = int(ops.convert_to_numpy(step_counter(keeper)))
        initial = min(float(ops.convert_to_numpy(keeper.learning_rate)), peak)
    return WarmupSchedule(
        peak,
        start=start,
        initial=initial,
        warmup_steps=warmup_steps(stage, steps),
        decay=stage.decay,
        total_steps=steps,
    )


def warmup_steps(stage: Stage, steps: int | None) -> int:
    """Return the stage's warmup in steps.

    Raises:
        InputError: If it depends on the number of steps, which is unknown.
    """
    if steps is None and (
        (isinstance(stage.warmup, float) and stage.warmup) or stage.decay != "constant"
    ):
        raise InputError(
            f"Stage {stage.label!r} has warmup={stage.warmup!r} and decay={stage.decay!r}, which need "
            "the number of batches per epoch, which is unknown for these data: pass steps_per_epoch to "
            "fit, or give the warmup as a number of steps and decay='constant'."
        )
    if isinstance(stage.warmup, float):
        return round(stage.warmup * (steps or 0))
    return int(stage.warmup)


def _rescaled(
    optimizer: GroupedOptimizer, scaling: keras.optimizers.LossScaleOptimizer
) -> keras.optimizers.LossScaleOptimizer:
    return keras.optimizers.LossScaleOptimizer(
        optimizer,
        initial_scale=scaling.initial_scale,
        dynamic_growth_steps=scaling.dynamic_growth_steps,
        name=scaling.name,
    )
