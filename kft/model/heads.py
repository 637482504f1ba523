"""The layers of a model that form its head: marked when it was built, or found in the graph."""

from __future__ import annotations

import weakref
from typing import Any

import keras

from kft.errors import InputError
from kft.model import graph
from kft.model.positions import after_positions, positions

# The layers of heads that were marked.
_HEADS: weakref.WeakKeyDictionary[keras.Model, frozenset[keras.Operation]] = (
    weakref.WeakKeyDictionary()
)


def mark_head(model: keras.Model, features: Any) -> None:
    """Mark where the head of a model begins, so that it need not be inferred from the graph.

    The head consists of all layers that the features do not depend on.

    Args:
        model: a functional model.
        features: the Keras tensor that the head takes, or a structure of them.
    """
    tensors = keras.tree.flatten(features)
    body = {call.operation for call in graph.calls(keras.Model(model.inputs, tensors))}
    _HEADS[model] = frozenset(call.operation for call in graph.calls(model)) - body


def mark_copied_head(model: keras.Model, copy: keras.Model) -> None:
    """Mark the head of a copy of a model, if that of the model is marked.

    Args:
        model: the model.
        copy: a model with the same layers in the same order.
    """
    if model in _HEADS:
        pairs = zip(graph.leaf_layers(model), graph.leaf_layers(copy), strict=True)
        _HEADS[copy] = frozenset(theirs for ours, theirs in pairs if ours in _HEADS[model])


class UnclearHeadError(InputError):
    """The error for several outputs with separate branches, which may be heads or part of the backbone."""


def head_layers(
    model: keras.Model, calls: list[graph.Call], ends: list[graph.Call]
) -> dict[keras.Layer, None]:
    """Return the layers of the head that have weights, nearest the input first.

    Args:
        model: the model.
        calls: the calls of its graph.
        ends: the calls among them that make an output.

    Raises:
        UnclearHeadError: some outputs have much longer branches with positions than others.
    """
    if model in _HEADS:
        weighted = (call.operation for call in calls if call.has_weights)
        return dict.fromkeys(layer for layer in weighted if layer in _HEADS[model])
    return _found_in_graph(model, calls, ends)


def _found_in_graph(
    model: keras.Model, calls: list[graph.Call], ends: list[graph.Call]
) -> dict[keras.Layer, None]:
    weighted = [call for call in calls if call.has_weights]
    pooled = after_positions(calls)
    after = {call.operation for call in weighted if call in pooled}
    if len(after) == len({call.operation for call in weighted}):
        after = set()
    behind = [graph.with_ancestors([end]) for end in ends]
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
    """Return the nested model that contains all layers shared by the outputs, if there is one."""
    first, *others = [call.owners for call in shared] or [()]
    return next((model for model in first if all(model in each for each in others)), None)


def _check_branches(
    model: keras.Model,
    branches: list[set[keras.Layer]],
    after: set[keras.Layer],
    followed: set[keras.Layer],
) -> None:
    """Refuse to guess which branches are heads, if they differ much in length.

    A long branch next to a short one may be a decoder on a backbone, or the top of the backbone
    next to an auxiliary output. Layers without positions and the last layer of a branch are head.
    """
    towers = [
        [layer for layer in branch - after if layer in followed and graph.has_matrix(layer)]
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
    return {call.operation for call in calls if call in leads and positions(call)}


def _nested_backbone(calls: list[graph.Call]) -> keras.Model | None:
    """Return the largest nested model with weights after it and most of the weights that see positions.

    The second condition distinguishes a backbone from a nested building block, such as the
    downsampling steps of ConvNeXt, even if a large Dense head follows a Flatten.
    """
    followed: set[keras.Model] = set()
    above: dict[graph.Call, frozenset[keras.Model]] = {}
    for call in calls:
        above[call] = frozenset().union(*(above[p] | set(p.owners) for p in call.parents))
        if call.has_weights:
            followed.update(model for model in above[call] if model not in call.owners)
    pooled = after_positions(calls)
    seeing = {c.operation: c for c in calls if c.has_weights and c not in pooled}
    for model in sorted(followed, key=lambda model: model.count_params(), reverse=True):
        inside = model.count_params()
        outside = sum(op.count_params() for op, c in seeing.items() if model not in c.owners)
        if inside > outside:
            return model
    return None
