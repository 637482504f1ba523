"""The hyperparameters of a search: the default space, and the plan that a trial's values make."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kft.errors import InputError
from kft.family.hooks import Family
from kft.model.blocks import find_blocks
from kft.stages.stage import Stage, checked_stages
from kft.tuning.trials import brief

# What a value of these names changes in the stages; other names are arguments of the recipe.
STAGE_NAMES = ("head_lr", "backbone_lr", "unfreeze", "layer_decay", "warmup")
NO_AUGMENTATION = "none"


@dataclasses.dataclass(frozen=True)
class TrialPlan:
    """What one trial trains.

    Attributes:
        stages: the stages of its fit.
        arguments: arguments of the recipe that differ from those of the recipe searched for.
        augment: the augmentation preset, None for none.
    """

    stages: tuple[Stage, ...]
    arguments: Mapping[str, Any]
    augment: str | None

    @property
    def epochs(self) -> int:
        """Most epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)


def default_space(hp: Any, recipe: Family, *, coarse: bool = False) -> None:
    """Declare what a search varies unless it is told otherwise.

    That is the rate of the head, how many blocks are unfrozen after it, their rate, layer decay and
    warmup, weight decay, and of the task's arguments dropout and label smoothing. What only matters
    to unfrozen blocks is conditional on there being some. Augmentation is left out: it makes other
    inputs in each epoch, so that no two trials could share frozen features.

    Args:
        hp: The `keras_tuner.HyperParameters` to declare it in.
        recipe: The recipe; its model says how many blocks there are.
        coarse: Three rates of the head, two of the backbone, and the depth: a grid of few points.
    """
    depths = depths_of(recipe)
    if coarse:
        hp.Choice("head_lr", [1e-2, 3e-3, 1e-3])
        hp.Choice("unfreeze", depths)
        with hp.conditional_scope("unfreeze", depths[1:]):
            hp.Choice("backbone_lr", [1e-4, 1e-3])
        return
    hp.Float("head_lr", 3e-4, 3e-2, sampling="log", default=3e-3)
    hp.Choice("unfreeze", depths)
    with hp.conditional_scope("unfreeze", depths[1:]):
        hp.Float("backbone_lr", 1e-5, 1e-3, sampling="log", default=1e-4)
        hp.Float("layer_decay", 0.6, 1.0, step=0.1, default=0.8)
        hp.Float("warmup", 0.0, 0.3, step=0.1, default=0.1)
    arguments = {field.name for field in dataclasses.fields(recipe.task)}
    if "dropout" in arguments:
        hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.2)
    hp.Float("weight_decay", 1e-4, 1e-1, sampling="log", default=1e-2)
    if "label_smoothing" in arguments:
        hp.Choice("label_smoothing", [0.0, 0.05, 0.1])


def depths_of(recipe: Family) -> list[int]:
    """Return the depths worth trying: 0 for the head alone, then ever more blocks, up to all."""
    count = len(find_blocks(recipe.model))
    if count <= 5:
        return list(range(count + 1))
    depths = [0]
    step = 1
    while step < count:
        depths.append(step)
        step *= 2
    return [*depths, count]


def declare(hp: Any, space: Any, recipe: Family) -> Sequence[Stage] | None:
    """Declares a space in `hp`, and returns the stages that a person's function made of it.

    Args:
        hp: the `keras_tuner.HyperParameters` of a trial.
        space: None for the default, a function of `hp`, or a `HyperParameters` of one's own.
        recipe: the recipe that is searched for.

    Raises:
        InputError: `space` is something else, or its function returned something else.
    """
    if space is None:
        default_space(hp, recipe)
        return None
    if hasattr(space, "space") and hasattr(space, "values"):
        hp.merge(space, overwrite=False)
        return None
    if not callable(space):
        raise InputError(
            f"`space={space!r}`: pass a function of `hp` that calls hp.Float('head_lr', 1e-4, 1e-2) "
            "and the like, a keras_tuner.HyperParameters, or None for the default."
        )
    return _called(space, hp)


def plan_trial(
    values: Mapping[str, Any], made: Sequence[Stage] | None, base: Sequence[Stage], recipe: Family
) -> TrialPlan:
    """What the values of a trial say to train.

    Args:
        values: the active hyperparameters by name.
        made: stages that the space's function made itself, or None.
        base: the stages that the values change.
        recipe: the recipe; names that are none of a stage's must be its arguments.

    Raises:
        InputError: a name means nothing, or does not fit the stages.
    """
    values = {name: brief(v) for name, v in values.items() if not name.startswith("tuner/")}
    fields = {field.name for field in dataclasses.fields(recipe) if field.init}
    fields -= {"classes", "num_classes", "task"}
    arguments = {name: value for name, value in values.items() if name in fields}
    augment = values.get("augment", NO_AUGMENTATION)
    if made is None:
        unknown = values.keys() - fields - {*STAGE_NAMES, "augment"}
        if unknown:
            raise InputError(
                f"`space` declares {sorted(unknown)}, which mean nothing to a search: it knows "
                f"{', '.join(STAGE_NAMES)}, augment, and the arguments of {type(recipe).__name__} "
                f"({', '.join(sorted(fields))}). With other names, let the function return stages."
            )
        made = _changed(base, values)
    return TrialPlan(
        checked_stages(list(made)), arguments, None if augment == NO_AUGMENTATION else augment
    )


def within(stages: Sequence[Stage], epochs: int) -> tuple[Stage, ...]:
    """The same stages in proportion, shortened to a number of epochs; each keeps at least one."""
    total = sum(stage.epochs for stage in stages)
    return tuple(
        stage
        if stage.solve
        else dataclasses.replace(stage, epochs=max(1, round(stage.epochs * epochs / total)))
        for stage in stages
    )


def _changed(base: Sequence[Stage], values: Mapping[str, Any]) -> list[Stage]:
    head = [stage for stage in base if stage.unfreeze == 0]
    deep = [stage for stage in base if stage.unfreeze != 0]
    if "unfreeze" in values:
        if not head:
            raise InputError(
                "`space` declares `unfreeze`, but no stage trains the head alone: pass stages that "
                "begin with kft.Stage(unfreeze=0, ...)."
            )
        deep = _to_depth(values["unfreeze"], head, deep)
    elif not deep and not values.keys().isdisjoint(("backbone_lr", "layer_decay", "warmup")):
        raise InputError(
            "`space` declares backbone_lr, layer_decay or warmup, but the stages train the head "
            "alone: declare `unfreeze` too, or pass stages that unfreeze something."
        )
    if "head_lr" in values:
        head = [dataclasses.replace(stage, learning_rate=values["head_lr"]) for stage in head]
    if deep and "backbone_lr" in values:
        scale = values["backbone_lr"] / deep[0].learning_rate
        deep = [
            dataclasses.replace(stage, learning_rate=brief(stage.learning_rate * scale))
            for stage in deep
        ]
    own = {name: values[name] for name in ("layer_decay", "warmup") if name in values}
    return [*head, *(dataclasses.replace(stage, **own) for stage in deep)]


def _to_depth(depth: Any, head: list[Stage], deep: list[Stage]) -> list[Stage]:
    """One stage of that depth in place of all that unfreeze, with all their epochs."""
    if depth == 0:
        return []
    pattern = deep[-1] if deep else dataclasses.replace(head[-1], learning_rate=1e-4, warmup=0.1)
    epochs = sum(stage.epochs for stage in deep or head)
    return [dataclasses.replace(pattern, unfreeze=depth, epochs=epochs, name=None)]


def _called(space: Callable[[Any], Any], hp: Any) -> Sequence[Stage] | None:
    made = space(hp)
    # A function of one line returns what it declared last, which is a value and no stages.
    if made is None or isinstance(made, (bool, int, float, str)):
        return None
    return checked_stages(made)
