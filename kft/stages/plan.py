"""The weights that each stage trains in a given model, and setting the model's flags accordingly."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Literal

import keras

from kft.arguments import check_choice
from kft.errors import InputError
from kft.model import graph
from kft.model.adapters import ADAPTERS, NORMS, parts_of
from kft.model.blocks import Anatomy, Block, find_anatomy
from kft.model.flags import Decisions, decisions, kept_flags, remember, unfreeze_all
from kft.model.heads import UnclearHeadError
from kft.printing import how_many
from kft.stages.stage import Stage, checked_stages

BatchNorm = Literal["frozen", "train"]


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Weights that train together at one rate.

    Attributes:
        name: The block's name, or `"head"`.
        layers: The layers that train.
        learning_rate: Their peak rate in the stage.
        weights: The weights that may train, in the layers' order; each is in one group only.
    """

    name: str
    layers: tuple[keras.Layer, ...]
    learning_rate: float
    weights: tuple[keras.Variable, ...]

    @property
    def variables(self) -> list[keras.Variable]:
        """The weights that train now."""
        return [weight for weight in self.weights if weight.trainable]


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedStage:
    """A stage, resolved for one model.

    Attributes:
        stage: The stage as passed.
        groups: The groups that train, the head first.
        batch_norm: `"frozen"` if the backbone's BatchNorm layers keep their statistics.
        decided: The weights that the model's owner lets train, and those frozen one by one.
    """

    stage: Stage
    groups: tuple[Group, ...]
    batch_norm: BatchNorm
    decided: Decisions

    def enter(self, model: keras.Model) -> None:
        """Set the `trainable` flags of `model` to those of this plan.

        If the model has been fitted, rebuild its train and test functions afterwards.
        """
        training = {layer for group in self.groups for layer in group.layers}
        unfreeze_all(model)
        for layer in graph.leaf_layers(model):
            if layer.weights and layer not in training:
                layer.trainable = False
        trained = {id(weight) for group in self.groups for weight in group.weights}
        only = self.stage.only
        if self.batch_norm == "frozen" or (only and NORMS not in only):
            for group in self.groups:
                if group.name != "head":
                    norms = _freeze_batch_norm(group.layers)
                    trained -= set() if only else norms  # a frozen layer's gamma and beta may train
        for weight in model.weights:
            weight.trainable = id(weight) in trained
        remember(model, self.decided)


def plan(
    model: keras.Model, stages: Sequence[Stage], batch_norm: BatchNorm = "frozen"
) -> list[PlannedStage]:
    """Resolve stages for a model, without changing it.

    Args:
        model: Any Keras model; a subclassed one supports only patterns and `"all"`.
        stages: The stages.
        batch_norm: `"frozen"` keeps the BatchNorm layers of the backbone in inference mode in every
            stage, because small batches wreck their statistics; `"train"` trains them with their
            block. Those of the head always train.

    Raises:
        InputError: If a stage asks for more blocks than there are, or matches or trains nothing.
    """
    check_choice("batch_norm", batch_norm, ("frozen", "train"))
    stages = checked_stages(stages)
    anatomy, decided = _anatomy(model, stages), decisions(model)
    parts = parts_of(model) if any(stage.only for stage in stages) else {}
    planned = []
    for stage in stages:
        chosen = _only(stage, anatomy, decided, parts)
        planned.append(
            PlannedStage(stage, _groups(model, anatomy, stage, chosen), batch_norm, decided)
        )
        if stage.only and not any(
            group.name != "head" and group.weights for group in planned[-1].groups
        ):
            raise InputError(
                f"Stage {stage.label!r} has `only={list(stage.only)}`, but the blocks that `unfreeze="
                f"{stage.unfreeze!r}` opens have none: {_ways_out(stage.only)}."
            )
    with kept_flags(model):
        for each in planned:
            each.enter(model)
            if not model.trainable_variables:
                raise InputError(
                    f"Stage {each.stage.label!r} trains nothing: all that `unfreeze="
                    f"{each.stage.unfreeze!r}` chooses was frozen weight by weight (LoRA, "
                    "`variable.trainable = False`), or is BatchNorm, which stays frozen. Pass "
                    "batch_norm='train', or unfreeze more."
                )
    return planned


def _only(
    stage: Stage, anatomy: Anatomy, decided: Decisions, parts: Mapping[int, frozenset[str]]
) -> Decisions:
    """Return the weights that a stage may train: of the blocks, only the parts in its `only`."""
    if stage.only is None:
        return decided
    head = {id(weight) for weight in anatomy.head.weights}
    allowed = {
        key for key in decided.trains if key in head or parts.get(key, set()) & {*stage.only}
    }
    return Decisions(allowed, decided.frozen | (decided.trains - allowed))


def _ways_out(only: Sequence[str]) -> str:
    if ADAPTERS in only:
        return "pass `adapters=kft.LoRA()` to the recipe, or open blocks that have some"
    return "unfreeze more, or leave it out"


def _anatomy(model: keras.Model, stages: Sequence[Stage]) -> Anatomy:
    if graph.is_functional(model):
        try:
            return find_anatomy(model)
        except UnclearHeadError:
            if any(isinstance(stage.unfreeze, int) for stage in stages):
                raise
    elif not model.built:
        raise InputError(
            f"Model {model.name!r} is not built, so it has no weights to plan for. Call it on a "
            "batch, or build() it, first."
        )
    layers = tuple(layer for layer in graph.leaf_layers(model) if layer.weights)
    loose = tuple(graph.container_weights(model))
    return Anatomy(Block("head", ()), (Block("all", layers, loose),))


def _groups(
    model: keras.Model, anatomy: Anatomy, stage: Stage, decided: Decisions
) -> tuple[Group, ...]:
    chosen = _chosen(model, anatomy, stage)
    taken: set[int] = set()  # a weight that two layers share trains in the group closer to the head
    groups = []
    for depth, block in enumerate((anatomy.head, *anatomy.blocks)):
        layers = [layer for layer in block.layers if id(layer) in chosen]
        layers = [layer for layer in layers if not _kept_frozen(layer, decided)]
        loose = [weight for weight in block.loose if id(weight) in chosen]
        weights = {id(w): w for w in (*(w for layer in layers for w in layer.weights), *loose)}
        train = tuple(w for key, w in weights.items() if key in decided.trains - taken)
        taken |= weights.keys()
        if layers or train:
            rate = stage.learning_rate * stage.layer_decay**depth
            groups.append(Group(block.name, tuple(layers), rate, train))
    return tuple(groups)


def _kept_frozen(layer: keras.Layer, decided: Decisions) -> bool:
    """Return whether all trainable weights of a layer were frozen by the model's owner."""
    weights = {id(weight) for weight in layer.weights}
    return bool(weights & decided.frozen) and not weights & decided.trains


def _chosen(model: keras.Model, anatomy: Anatomy, stage: Stage) -> set[int]:
    """Return the `id` of each layer and loose weight that a stage chooses."""
    blocks, unfreeze = anatomy.blocks, stage.unfreeze
    if unfreeze == "all":
        return _members(anatomy.head, *blocks)
    if isinstance(unfreeze, int):
        if not graph.is_functional(model):
            raise InputError(
                f"`unfreeze={unfreeze}`, but {model.name!r} is a subclassed model, whose blocks "
                "cannot be found: name its layers, such as unfreeze=['encoder_3*', 'head'], or "
                "pass 'all'."
            )
        if unfreeze > len(blocks):
            raise InputError(
                f"`unfreeze={unfreeze}`, but {model.name!r} has {how_many(len(blocks), 'block')}: pass 0 to "
                f"{len(blocks)}, or 'all'."
            )
        return _members(anatomy.head, *blocks[:unfreeze])
    chosen = _members(anatomy.head)
    for pattern in unfreeze:
        matched = _matching(pattern, anatomy)
        if not matched:
            names = [layer.name for block in blocks for layer in block.layers]
            raise InputError(
                f"`unfreeze={list(unfreeze)}`: the pattern {pattern!r} matches no layer with "
                f"weights of {model.name!r}. Its layers, nearest the head first, begin with "
                f"{', '.join(names[:8])}."
            )
        chosen |= matched
    return chosen


def _members(*blocks: Block) -> set[int]:
    return {id(one) for block in blocks for one in (*block.layers, *block.loose)}


def _matching(pattern: str, anatomy: Anatomy) -> set[int]:
    """Return the `id` of each layer and loose weight that a pattern matches.

    An existing name matches only itself, even if it could be a pattern, such as `"dense [x]"`.
    """
    names = {
        id(one): (block.name, one.name, one.path)
        for block in (anatomy.head, *anatomy.blocks)
        for one in (*block.layers, *block.loose)
    }
    exact = {key for key, found in names.items() if pattern in found}
    return exact or {
        key
        for key, found in names.items()
        if any(fnmatch.fnmatchcase(name, pattern) for name in found)
    }


def _freeze_batch_norm(layers: tuple[keras.Layer, ...]) -> set[int]:
    """Freeze the BatchNorm layers at all depths, and return the `id` of each of their weights."""
    frozen: set[int] = set()
    for layer in layers:
        for inner in (layer, *graph.sublayers(layer)):
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.trainable = False
                frozen |= {id(weight) for weight in inner.weights}
    return frozen
