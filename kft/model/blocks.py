"""The blocks of a model: what can be unfrozen, found from the model's graph."""

from __future__ import annotations

import dataclasses
import itertools
import math
import weakref
from collections.abc import Iterable
from typing import Any

import keras

from kft.errors import InputError
from kft.model import graph


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A run of layers that is frozen and unfrozen together.

    Attributes:
        name: what the names of its layers share, such as `"conv5"`; unique in a model.
        layers: its layers with weights, nearest the input first.
        loose: its weights that lie in none of its layers, since a model added them itself.
    """

    name: str
    layers: tuple[keras.Layer, ...]
    loose: tuple[keras.Variable, ...] = ()

    @property
    def weights(self) -> list[keras.Variable]:
        """Return all its weights, each once."""
        weights = (weight for layer in self.layers for weight in layer.weights)
        return list({id(weight): weight for weight in (*weights, *self.loose)}.values())

    @property
    def parameters(self) -> int:
        """Return how many numbers its weights have, BatchNorm statistics included."""
        return sum(math.prod(weight.shape) for weight in self.weights)

    def __repr__(self) -> str:
        return f"Block({self.name!r}, {len(self.layers)} layers, {self.parameters:,} parameters)"


@dataclasses.dataclass(frozen=True, eq=False)
class Anatomy:
    """A model seen as a head on a stack of blocks.

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
    by a weight matrix, with lookups and norms joined to what they belong to.

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


# Which layers the heads of models are, where whoever built the model has told it.
_TOLD: weakref.WeakKeyDictionary[keras.Model, frozenset[keras.Operation]] = (
    weakref.WeakKeyDictionary()
)


def tell_head(model: keras.Model, features: Any) -> None:
    """Say where the head of a model begins, so that it need not be guessed from the graph.

    All layers that the features do not depend on are the head.

    Args:
        model: a functional model.
        features: the Keras tensor that the head was put on, or a structure of them.
    """
    tensors = keras.tree.flatten(features)
    body = {call.operation for call in graph.calls(keras.Model(model.inputs, tensors))}
    _TOLD[model] = frozenset(call.operation for call in graph.calls(model)) - body


def tell_copy(model: keras.Model, copy: keras.Model) -> None:
    """Say of a copy of a model what was said of the model, if anything was.

    Args:
        model: the model.
        copy: a model with the same layers in the same order.
    """
    if model in _TOLD:
        pairs = zip(graph.leaf_layers(model), graph.leaf_layers(copy), strict=True)
        _TOLD[copy] = frozenset(theirs for ours, theirs in pairs if ours in _TOLD[model])


class UnclearHeadError(InputError):
    """Several outputs have branches of their own, which may be heads or the backbone's top."""


def find_anatomy(model: keras.Model) -> Anatomy:
    """Divide a model into its head and its blocks.

    The head is what `tell_head` said. Otherwise it is what lies outside of a nested backbone. Without
    one, it is what follows the last tensor that still has positions (pixels, tokens), and with
    several outputs also what does not lead to all of them. Where that is nothing, it is the last
    layer with weights.

    Raises:
        UnclearHeadError: some outputs have much longer branches with positions than others.
        InputError: the model is subclassed, not built, or has no weights.
    """
    calls, ends = graph.calls_and_ends(model)
    weighted = [call for call in calls if call.has_weights]
    if not weighted:
        raise InputError(f"Model {model.name!r} has no weights, so there is nothing to fine-tune.")
    head: Iterable[keras.Layer] = (
        dict.fromkeys(call.operation for call in weighted if call.operation in _TOLD[model])
        if model in _TOLD
        else _head(model, calls, ends)
    )
    body = [call for call in weighted if call.operation not in head]
    blocks = _named(_divide(calls, body))
    return _completed(model, Anatomy(Block("head", tuple(head)), tuple(reversed(blocks))))


def _completed(model: keras.Model, anatomy: Anatomy) -> Anatomy:
    """Add to the deepest block what lies outside of the graph: layers, and the models' own weights.

    Such weights may act anywhere (a class token, a temperature), so they train with everything.
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


def _head(
    model: keras.Model, calls: list[graph.Call], ends: list[graph.Call]
) -> dict[keras.Layer, None]:
    weighted = [call for call in calls if call.has_weights]
    pooled = _after_positions(calls)
    after = {call.operation for call in weighted if call in pooled}
    if len(after) == len({call.operation for call in weighted}):
        after = set()
    behind = [_with_ancestors([end]) for end in ends]
    shared = {call.operation for call in weighted if all(call in each for each in behind)}
    backbone = _nested_backbone(calls)
    if backbone is None and len(ends) > 1:
        backbone = _nested_trunk([call for call in weighted if call.operation in shared - after])
    if backbone is not None:
        outside = [call for call in weighted if backbone not in call.owners]
        return dict.fromkeys(call.operation for call in outside)
    branches = [{c.operation for c in weighted if c in each} - shared for each in behind]
    _check_branches(model, branches, after, _followed(calls))
    after.update(*branches)
    found = [call.operation for call in weighted if call.operation in after]
    return dict.fromkeys(found or [weighted[-1].operation])


def _nested_trunk(shared: list[graph.Call]) -> keras.Model | None:
    """Return the nested model that holds all that leads to every output, if there is one."""
    first, *others = [call.owners for call in shared] or [()]
    return next((model for model in first if all(model in each for each in others)), None)


def _check_branches(
    model: keras.Model,
    branches: list[set[keras.Layer]],
    after: set[keras.Layer],
    followed: set[keras.Layer],
) -> None:
    """Refuse to guess which branches are heads, if they differ much in length.

    A long branch beside a short one may be a decoder on a backbone, or the top of the backbone
    beside an auxiliary output. What has no positions, and the last layer of a branch, is a head.
    """
    towers = [
        [layer for layer in branch - after if layer in followed and _multiplies(layer)]
        for branch in branches
    ]
    longest = max(towers, key=len)
    if len(longest) > 2 * min(len(tower) for tower in towers):
        names = sorted(layer.name for layer in longest)
        raise UnclearHeadError(
            f"Model {model.name!r} has several outputs, and one of them alone has {len(names)} layers "
            f"such as {', '.join(names[:3])}, which may be its head or the top of the backbone. Nest "
            "the backbone as a layer, or choose by patterns, such as unfreeze=['head_*'], or 'all'."
        )


def _followed(calls: list[graph.Call]) -> set[keras.Layer]:
    """Return the layers whose output has positions and leads to another layer with weights."""
    leads: set[graph.Call] = set()
    for call in reversed(calls):
        if call in leads or call.has_weights:
            leads.update(call.parents)
    return {call.operation for call in calls if call in leads and graph.positions(call)}


def _nested_backbone(calls: list[graph.Call]) -> keras.Model | None:
    """Return the largest nested model that weights follow and that is most of what sees positions.

    The second condition tells a backbone from a nested building block, such as the downsampling
    steps of ConvNeXt, without being misled by a large Dense head after a Flatten.
    """
    followed: set[keras.Model] = set()
    above: dict[graph.Call, frozenset[keras.Model]] = {}
    for call in calls:
        above[call] = frozenset().union(*(above[p] | set(p.owners) for p in call.parents))
        if call.has_weights:
            followed.update(model for model in above[call] if model not in call.owners)
    pooled = _after_positions(calls)
    seeing = {c.operation: c for c in calls if c.has_weights and c not in pooled}
    for model in sorted(followed, key=lambda model: model.count_params(), reverse=True):
        inside = model.count_params()
        outside = sum(op.count_params() for op, c in seeing.items() if model not in c.owners)
        if inside > outside:
            return model
    return None


def _after_positions(calls: list[graph.Call]) -> set[graph.Call]:
    """Return the calls from which no tensor with positions can be reached any more."""
    before: set[graph.Call] = set()
    for call in reversed(calls):
        if graph.positions(call) or call in before:
            before.add(call)
            before.update(call.parents)
    return set(calls) - before


def _divide(calls: list[graph.Call], body: list[graph.Call]) -> list[list[keras.Layer]]:
    """Return the layers of the backbone in groups, nearest the input first."""
    levels = _resolution_levels(calls, body)
    if len(set(levels.values())) < 2:
        levels = _depth_levels(calls, body)
    else:
        levels = _at_narrow_places(calls, levels)
    groups: dict[float, dict[keras.Layer, None]] = {}
    seen: set[keras.Layer] = set()
    for call in body:
        if call.operation not in seen:
            groups.setdefault(levels[call], {})[call.operation] = None
            seen.add(call.operation)
    return [list(groups[level]) for level in sorted(groups)]


def _resolution_levels(calls: list[graph.Call], body: list[graph.Call]) -> dict[graph.Call, float]:
    """Return how many times each call's resolution was halved.

    A squeeze-and-excite branch shrinks to one pixel and comes back: each call takes the finest
    level that can still be reached from it inside the backbone.
    """
    inputs = [graph.positions(call) for call in calls if not call.parents]
    sizes = [known for shape in inputs if (known := _known(shape))]
    if not sizes:
        return dict.fromkeys(body, 0.0)
    finest = max(sizes, key=math.prod)
    inside = _with_ancestors(body)
    reachable = {call: _halvings(call, finest) if call in inside else math.inf for call in calls}
    for call in reversed(calls):
        for parent in call.parents:
            reachable[parent] = min(reachable[parent], reachable[call])
    coarsest = max((reachable[call] for call in body if reachable[call] < math.inf), default=0.0)
    return {call: min(reachable[call], coarsest) for call in body}


def _known(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Return the shape, or an empty one if a part of it varies."""
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else ()


def _halvings(call: graph.Call, finest: tuple[int, ...]) -> float:
    shape = _known(graph.positions(call))
    if not shape or 0 in shape:
        return math.inf
    return float(round(math.log2(math.prod(finest) / math.prod(shape)) / len(finest)))


def _at_narrow_places(
    calls: list[graph.Call], levels: dict[graph.Call, float]
) -> dict[graph.Call, float]:
    """Move each border back in front of a widening, to a tensor that everything passes through.

    An inverted residual block widens its input before it lowers the resolution: the border belongs
    in front of the widening, where what a cache would keep is small too.
    """
    place = {call: index for index, call in enumerate(calls)}
    sizes = _bottlenecks(calls)
    moved = dict(levels)
    for lower, upper in itertools.pairwise(sorted(set(levels.values()))):
        begins = min(place[call] for call, level in moved.items() if level == lower)
        ends = min(place[call] for call, level in moved.items() if level >= upper)
        near = [index for index in sizes if begins <= index < ends]
        if not near:
            continue
        border, matrices = near[-1], 0
        for index, following in zip(reversed(near[:-1]), reversed(near), strict=False):
            between = calls[index + 1 : following + 1]
            matrices += sum(_multiplies(call.operation) for call in between)
            if matrices > 1:
                break
            if 2.5 * sizes[index] <= sizes[near[-1]]:
                border = index
                break
        for call, level in moved.items():
            if level == lower and place[call] > border:
                moved[call] = upper
    return moved


def _bottlenecks(calls: list[graph.Call]) -> dict[int, int]:
    """Return index and size of each call that everything before it passes through."""
    last_use = {call: index for index, call in enumerate(calls)}
    for index, call in enumerate(calls):
        last_use.update(dict.fromkeys(call.parents, index))
    found: dict[int, int] = {}
    furthest = 0
    for index, call in enumerate(calls[:-1]):
        shape = _known(call.shape[1:])
        if shape and furthest <= index and last_use[call] > index:
            found[index] = math.prod(shape)
        furthest = max(furthest, last_use[call])
    return found


def _with_ancestors(chosen: list[graph.Call]) -> set[graph.Call]:
    found, stack = set(chosen), list(chosen)
    while stack:
        for parent in stack.pop().parents:
            if parent not in found:
                found.add(parent)
                stack.append(parent)
    return found


def _depth_levels(calls: list[graph.Call], body: list[graph.Call]) -> dict[graph.Call, float]:
    """Return how many weight matrices lie on the longest path from the input to each call.

    Lookup tables and norms add nothing to the depth, so they join the layer they follow. What
    comes after the positions are gone (BERT's pooler) belongs to the deepest block.
    """
    inside, pooled = set(body), _after_positions(calls)
    depth: dict[graph.Call, float] = {}
    for call in calls:
        depth[call] = max((depth[parent] for parent in call.parents), default=0.0)
        if call in inside and _multiplies(call.operation):
            depth[call] += 1.0
    first_call = {call.operation: call for call in reversed(body)}
    first = {call: depth[first_call[call.operation]] for call in body}
    deepest = max((first[call] for call in body if call not in pooled), default=math.inf)
    return {call: min(first[call], deepest) for call in body}


def _multiplies(operation: keras.Operation) -> bool:
    """Return whether a layer has a weight matrix, other than a table it looks up."""
    weights = getattr(operation, "weights", [])
    return any(len(weight.shape) > 1 and "embedding" not in weight.name for weight in weights)


def _named(groups: list[list[keras.Layer]]) -> list[Block]:
    """Return blocks named by what their layers' names share, or by their first and last layer."""
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
