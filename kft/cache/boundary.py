"""The tensors at which a model is cut: what steady calls hand to the rest."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import keras

from kft.model import graph

__all__ = ["boundary"]


def boundary(model: keras.Model, calls: Sequence[graph.Call], steady: Set[graph.Call]) -> list[Any]:
    """Return the deepest tensors that a model can be cut at.

    Keras puts an input in place of the layer that makes such a tensor, wherever it is called. So a layer
    that is called above the cut too cannot be the last one below it, as embeddings that also give the
    scores of tokens: the cut then lies below it.

    Args:
        model: A functional model.
        calls: Its calls, each after those that it depends on.
        steady: Those of them that nothing trains in or below, and that compute the same each time.
    """
    tensors = _outputs(model, calls, steady)
    while again := _called_again(tensors, calls, steady):
        steady = _without(again, calls, steady)
        tensors = _outputs(model, calls, steady)
    return tensors


def _outputs(model: keras.Model, calls: Sequence[graph.Call], steady: Set[graph.Call]) -> list[Any]:
    """Return the outputs of steady calls that the rest of a model takes."""
    made = {id(tensor): call for call in calls for tensor in call.outputs}
    wanted = {id(t): t for call in calls if call not in steady for t in call.inputs}
    wanted |= {id(tensor): tensor for tensor in model.outputs}
    return [tensor for key, tensor in wanted.items() if made[key] in steady]


def _called_again(
    tensors: Sequence[Any], calls: Sequence[graph.Call], steady: Set[graph.Call]
) -> set[graph.Call]:
    """Return the calls that make tensors, of layers that are called above the cut too."""
    above = {id(call.operation) for call in calls if call not in steady}
    cut = {id(tensor) for tensor in tensors}
    return {
        call
        for call in steady
        if id(call.operation) in above and any(id(tensor) in cut for tensor in call.outputs)
    }


def _without(
    left_out: Set[graph.Call], calls: Sequence[graph.Call], steady: Set[graph.Call]
) -> set[graph.Call]:
    """Return steady calls without some, and without those that depend on them."""
    kept: set[graph.Call] = set()
    for call in calls:
        if call in steady - left_out and all(parent in kept for parent in call.parents):
            kept.add(call)
    return kept
