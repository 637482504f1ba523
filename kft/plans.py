"""What each stage trains in a given model, and setting the model's flags accordingly."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
from collections.abc import Iterator, Sequence
from typing import Literal

import keras

from kft import graph
from kft.blocks import Anatomy, Block, find_anatomy
from kft.errors import InputError
from kft.stages import Stage, checked_stages

BatchNorm = Literal["frozen", "train"]


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Layers that train together at one rate.

    Attributes:
        name: the block's name, or `"head"`.
        layers: the layers that train.
        learning_rate: their peak rate in the stage.
    """

    name: str
    layers: tuple[keras.Layer, ...]
    learning_rate: float

    @property
    def variables(self) -> list[keras.Variable]:
        """What trains of the layers now, each once, in the layers' order."""
        variables = (v for layer in self.layers for v in layer.trainable_variables)
        return list({id(variable): variable for variable in variables}.values())


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedStage:
    """A stage, resolved for one model.

    Attributes:
        stage: the stage as given.
        groups: what trains, the head first.
        batch_norm: `"frozen"` where the backbone's BatchNorm layers keep their statistics.
    """

    stage: Stage
    groups: tuple[Group, ...]
    batch_norm: BatchNorm

    def enter(self, model: keras.Model) -> None:
        """Sets the `trainable` flags of `model`, from nothing but this plan.

        A model that has been fitted needs its train and test functions made again afterwards.
        """
        training = {layer for group in self.groups for layer in group.layers}
        _unfreeze_all(model)
        for layer in graph.leaf_layers(model):
            if layer.weights and layer not in training:
                layer.trainable = False
        if self.batch_norm == "frozen":
            for group in self.groups:
                if group.name != "head":
                    _freeze_batch_norm(group.layers)
        known = {id(variable) for group in self.groups for variable in group.variables}
        for variable in model.trainable_variables:
            if id(variable) not in known:  # owned by a container, so no layer's flag reaches it
                variable.trainable = False


@contextlib.contextmanager
def kept_flags(model: keras.Model) -> Iterator[None]:
    """Puts the `trainable` flags of all layers and variables back as they were."""
    layers = [(layer, layer.trainable) for layer in (model, *graph.sublayers(model))]
    variables = [(variable, variable.trainable) for variable in model.variables]
    try:
        yield
    finally:
        for layer, flag in layers:  # parents come first: setting theirs sets their children's
            layer.trainable = not flag
            layer.trainable = flag
        for variable, flag in variables:
            variable.trainable = flag


def plan(
    model: keras.Model, stages: Sequence[Stage], batch_norm: BatchNorm = "frozen"
) -> list[PlannedStage]:
    """Resolves stages for a model, without changing it.

    Args:
        model: any Keras model; a subclassed one takes patterns and `"all"` only.
        stages: the stages.
        batch_norm: `"frozen"` keeps the BatchNorm layers of the backbone in inference mode in every
            stage, because small batches wreck their statistics; `"train"` trains them with their
            block. Those of the head always train.

    Raises:
        InputError: a stage asks for more blocks than there are, or matches or trains nothing.
    """
    if batch_norm not in ("frozen", "train"):
        raise InputError(f"`batch_norm={batch_norm!r}`: pass 'frozen' or 'train'.")
    anatomy = _anatomy(model)
    planned = [
        PlannedStage(stage, _groups(model, anatomy, stage), batch_norm)
        for stage in checked_stages(stages)
    ]
    with kept_flags(model):
        for each in planned:
            each.enter(model)
            if not model.trainable_variables:
                raise InputError(
                    f"Stage {each.stage.label!r} trains nothing: all that `unfreeze="
                    f"{each.stage.unfreeze!r}` chooses is BatchNorm, which stays frozen. Pass "
                    "batch_norm='train', or unfreeze more."
                )
    return planned


def _anatomy(model: keras.Model) -> Anatomy:
    if graph.is_functional(model):
        return find_anatomy(model)
    if not model.built:
        raise InputError(
            f"Model {model.name!r} is not built, so it has no weights to plan for. Call it on a "
            "batch, or build() it, first."
        )
    layers = tuple(layer for layer in graph.leaf_layers(model) if layer.weights)
    return Anatomy(Block("head", ()), (Block("all", layers),))


def _groups(model: keras.Model, anatomy: Anatomy, stage: Stage) -> tuple[Group, ...]:
    chosen = _chosen_layers(model, anatomy, stage)
    groups = []
    for depth, block in enumerate((anatomy.head, *anatomy.blocks)):
        layers = tuple(layer for layer in block.layers if layer in chosen)
        if layers:
            rate = stage.learning_rate * stage.layer_decay**depth
            groups.append(Group(block.name, layers, rate))
    return tuple(groups)


def _chosen_layers(model: keras.Model, anatomy: Anatomy, stage: Stage) -> set[keras.Layer]:
    blocks, unfreeze = anatomy.blocks, stage.unfreeze
    if unfreeze == "all":
        return {layer for block in (anatomy.head, *blocks) for layer in block.layers}
    if isinstance(unfreeze, int):
        if not graph.is_functional(model):
            raise InputError(
                f"`unfreeze={unfreeze}`, but {model.name!r} is a subclassed model, whose blocks "
                "cannot be found: name its layers, such as unfreeze=['encoder_3*', 'head'], or "
                "pass 'all'."
            )
        if unfreeze > len(blocks):
            raise InputError(
                f"`unfreeze={unfreeze}`, but {model.name!r} has {len(blocks)} blocks: pass 0 to "
                f"{len(blocks)}, or 'all'."
            )
        return {layer for block in (anatomy.head, *blocks[:unfreeze]) for layer in block.layers}
    chosen = set(anatomy.head.layers)
    for pattern in unfreeze:
        matched = {
            layer
            for block in blocks
            for layer in block.layers
            if _matches(pattern, block.name, layer.name, layer.path)
        }
        if not matched and not any(_matches(pattern, x.name, x.path) for x in anatomy.head.layers):
            names = [layer.name for block in blocks for layer in block.layers]
            raise InputError(
                f"`unfreeze={list(unfreeze)}`: the pattern {pattern!r} matches no layer with "
                f"weights of {model.name!r}. Its layers, nearest the head first, begin with "
                f"{', '.join(names[:8])}."
            )
        chosen |= matched
    return chosen


def _matches(pattern: str, *names: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _unfreeze_all(model: keras.Model) -> None:
    """Unfreezes every layer at every depth: a frozen container would hide what trains inside it.

    On TensorFlow, Keras 3.15.1 skips setting a flag that already has the value, and with it the
    layers below; so each layer is set, and set to False first.
    """
    for layer in (model, *graph.sublayers(model)):
        layer.trainable = False
        layer.trainable = True


def _freeze_batch_norm(layers: tuple[keras.Layer, ...]) -> None:
    for layer in layers:
        for inner in (layer, *graph.sublayers(layer)):
            if isinstance(inner, keras.layers.BatchNormalization):
                inner.trainable = False
