"""The blocks of a model, which can be unfrozen one by one, found in its graph."""

from __future__ import annotations

import dataclasses
import itertools
import math

import keras

from kft.errors import InputError
from kft.model import graph
from kft.model.division import divide
from kft.model.heads import head_layers


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A run of layers that is frozen and unfrozen together.

    Attributes:
        name: the common prefix of its layers' names, such as `"conv5"`; unique in a model.
        layers: its layers with weights, nearest the input first.
        loose: its weights outside of these layers, which a model added itself.
    """

    name: str
    layers: tuple[keras.Layer, ...]
    loose: tuple[keras.Variable, ...] = ()

    @property
    def weights(self) -> list[keras.Variable]:
        """All its weights, each once."""
        weights = (weight for layer in self.layers for weight in layer.weights)
        return list({id(weight): weight for weight in (*weights, *self.loose)}.values())

    @property
    def parameters(self) -> int:
        """The number of its parameters, BatchNorm statistics included."""
        return sum(math.prod(weight.shape) for weight in self.weights)

    def __repr__(self) -> str:
        return f"Block({self.name!r}, {len(self.layers)} layers, {self.parameters:,} parameters)"


@dataclasses.dataclass(frozen=True, eq=False)
class Anatomy:
    """A model divided into a head and a stack of blocks.

    Attributes:
        head: the new layers on top; they train in every stage.
        blocks: the backbone's blocks, nearest the head first.
    """

    head: Block
    blocks: tuple[Block, ...]


def find_blocks(model: keras.Model) -> list[Block]:
    """Return the model's unfreezable blocks, nearest the head first.

    Convolutional backbones are divided where they lower the resolution, so ResNet50 and VGG16 have
    five blocks each; backbones of constant resolution, such as BERT, at each layer that multiplies
    by a weight matrix, while lookups and norms join the layer that they follow.

    Args:
        model: any functional or built Sequential model; the backbone may be nested as a layer.

    Returns:
        A list of `Block`, without the head.

    Raises:
        InputError: the model is subclassed or not built.

    Example:

    ```python
    model = keras.applications.ResNet50(weights=None)
    [block.name for block in kft.find_blocks(model)]
    # ["conv5", "conv4", "conv3", "conv2", "conv1"]
    ```
    """
    return list(find_anatomy(model).blocks)


def find_anatomy(model: keras.Model) -> Anatomy:
    """Divide a model into its head and its blocks.

    The head is the one set by `mark_head`, or else everything outside of a nested backbone. Without a
    nested backbone it is everything after the last tensor that still has positions (pixels, tokens),
    and with several outputs also the layers that do not lead to all of them. If there are none, it is
    the last layer with weights.

    Raises:
        UnclearHeadError: some outputs have much longer branches with positions than others.
        InputError: the model is subclassed, not built, or has no weights.
    """
    calls, ends = graph.calls_and_ends(model)
    weighted = [call for call in calls if call.has_weights]
    if not weighted:
        raise InputError(f"Model {model.name!r} has no weights, so there is nothing to fine-tune.")
    head = head_layers(model, calls, ends)
    body = [call for call in weighted if call.operation not in head]
    blocks = _named(divide(calls, body))
    return _completed(model, Anatomy(Block("head", tuple(head)), tuple(reversed(blocks))))


def _completed(model: keras.Model, anatomy: Anatomy) -> Anatomy:
    """Add layers outside of the graph and the models' own weights to the deepest block.

    Such weights may act anywhere (a class token, a temperature), so they train only with everything.
    """
    known = {layer for block in (anatomy.head, *anatomy.blocks) for layer in block.layers}
    called = {call.operation for call in graph.calls(model)}
    layers = [
        layer
        for layer in graph.leaf_layers(model)
        if layer.weights and layer not in known and layer not in called
    ]
    loose = graph.container_weights(model)
    if not layers and not loose:
        return anatomy
    *others, last = (anatomy.head, *anatomy.blocks)
    last = Block(last.name, (*last.layers, *layers), tuple(loose))
    head, *blocks = (*others, last)
    return Anatomy(head, tuple(blocks))


def _named(groups: list[list[keras.Layer]]) -> list[Block]:
    """Return blocks named by the common prefix of their layers, or by their first and last layer."""
    shared = [_shared_name([layer.name for layer in layers]) for layers in groups]
    blocks = []
    for layers, name in zip(groups, shared, strict=True):
        if not name or name == "head" or shared.count(name) > 1:
            name = f"{layers[0].name}..{layers[-1].name}"
        blocks.append(Block(name, tuple(layers)))
    return blocks


def _shared_name(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    first, last = min(names), max(names)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    prefix = "".join(letter for letter, _ in same)
    return (prefix if prefix in names else prefix.rpartition("_")[0]).strip("_")
