"""The hyperparameters of a search: the default space, and the plan for the values of a trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kft.errors import InputError
from kft.family.hooks import Family
from kft.model.blocks import find_blocks
from kft.stages.stage import Stage, checked_stages
from kft.tuning.trials import brief

# Hyperparameters that change the stages; other names are arguments of the recipe.
STAGE_NAMES = ("head_lr", "backbone_lr", "unfreeze", "layer_decay", "warmup")
NO_AUGMENTATION = "none"


@dataclasses.dataclass(frozen=True)
class TrialPlan:
    """What one trial trains.

    Attributes:
        stages: The stages of its fit.
        arguments: The arguments that replace those of the recipe of the search.
        augment: The augmentation preset; None for none.
    """

    stages: tuple[Stage, ...]
    arguments: Mapping[str, Any]
    augment: str | None

    @property
    def epochs(self) -> int:
        """The maximum number of epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)


def default_space(hp: Any, recipe: Family, *, coarse: bool = False) -> None:
    """Declare the default space of a search.

    It contains the rate of the head, the number of blocks that are then unfrozen, their rate, layer
    decay and warmup, weight decay, and dropout and label smoothing if the task has them.
    Hyperparameters of unfrozen blocks are active only if there are any. Augmentation is left out:
    it makes different inputs in each epoch, so that trials could not share frozen features.

    Args:
        hp: The `keras_tuner.HyperParameters` to declare it in.
        recipe: The recipe, whose model determines the number of blocks.
        coarse: Whether to declare only three rates of the head, the depth, and two rates of the
            backbone: a grid of few points.
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
    """Return the depths worth trying, from 0 for the head alone up to all blocks."""
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
    """Declare a space in `hp`, and return the stages that the user's function built, if any.

    Args:
        hp: The `keras_tuner.HyperParameters` of a trial.
        space: None for the default, a function of `hp`, or the user's own `HyperParameters`.
        recipe: The recipe of the search.

    Raises:
        InputError: If `space` is something else, or its function returned something else.
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
    """Return the plan for the values of a trial.

    Args:
        values: The active hyperparameters by name.
        made: The stages that the space's function built itself, or None.
        base: The stages that the values change.
        recipe: The recipe; names that do not change the stages must be its arguments.

    Raises:
        InputError: If a name is unknown, or does not fit the stages.
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
    """Return stages shortened in proportion to a number of epochs; each keeps at least one."""
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
    """Replace all stages that unfreeze blocks by one of this depth, with all their epochs."""
    if depth == 0:
        return []
    pattern = deep[-1] if deep else dataclasses.replace(head[-1], learning_rate=1e-4, warmup=0.1)
    epochs = sum(stage.epochs for stage in deep or head)
    return [dataclasses.replace(pattern, unfreeze=depth, epochs=epochs, name=None)]


def _called(space: Callable[[Any], Any], hp: Any) -> Sequence[Stage] | None:
    made = space(hp)
    # A lambda returns the value that it declared last, which is not a list of stages.
    if made is None or isinstance(made, (bool, int, float, str)):
        return None
    return checked_stages(made)
