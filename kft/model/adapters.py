"""Finding the low-rank adapters of a model, merging them into its weights, and copying them to a clone."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import keras
import numpy as np

from kft.model import graph

ADAPTERS, NORMS, BIASES = PARTS = ("adapters", "norms", "biases")


@dataclasses.dataclass(frozen=True, eq=False)
class Adapter:
    """A low-rank adapter of one weight: `base + scale * a @ b`.

    Attributes:
        layer: the layer.
        base: the weight, which does not train.
        a: float32, `(..., rank)`.
        b: float32, `(rank, last axis of base)`, zeros before training.
    """

    layer: keras.Layer
    base: keras.Variable
    a: keras.Variable
    b: keras.Variable

    @property
    def scale(self) -> float:
        """The factor of the product: alpha divided by the rank."""
        layer: Any = self.layer
        return layer.lora_alpha / layer.lora_rank

    def merged(self) -> np.ndarray:
        """Return the adapted weight that the layer computes with."""
        base, a, b = map(keras.ops.convert_to_numpy, (self.base, self.a, self.b))
        if not b.any():
            return np.asarray(base)  # adding zeros would turn negative zeros into positive ones
        added = np.float32(self.scale) * np.matmul(a, b)
        return (np.asarray(base, "float32") + added).astype(base.dtype)


def adapters_of(layer: keras.Layer) -> list[Adapter]:
    """Return the adapters of a model or a layer and of all layers inside, in the order of the layers."""
    return [one for each in (layer, *graph.sublayers(layer)) for one in own_adapters(each)]


def own_adapters(layer: keras.Layer) -> list[Adapter]:
    """Return the adapters that Keras' `enable_lora` has added to a layer itself."""
    if not getattr(layer, "lora_enabled", False):
        return []
    own = {weight.name: weight for weight in graph.own_weights(layer)}
    bases = [found[1] for name in own if (found := re.fullmatch("lora_(.+)_a", name))]
    return [
        Adapter(layer, own[name], own[f"lora_{name}_a"], own[f"lora_{name}_b"])
        for name in bases
        if name in own and f"lora_{name}_b" in own
    ]


def parts_of(model: keras.Model) -> dict[int, frozenset[str]]:
    """Classify a model's weights, by `id`, as adapters, weights of norms, and biases.

    As in BitFit, biases are `bias` and the `beta` of a norm (Ben Zaken et al.,
    https://arxiv.org/abs/2106.10199, section 3).
    """
    found: dict[int, frozenset[str]] = {}
    for layer in graph.sublayers(model):
        is_norm = "Norm" in type(layer).__name__  # KerasHub's norms are not subclasses of Keras'
        for weight in graph.own_weights(layer):
            kinds = {NORMS} if is_norm else set()
            if (weight.name == "beta" and is_norm) or re.fullmatch("(.*_)?bias", weight.name):
                kinds.add(BIASES)
            found[id(weight)] = frozenset(kinds)
    for adapter in adapters_of(model):
        found[id(adapter.a)] = found[id(adapter.b)] = frozenset({ADAPTERS})
    return found


def merged_values(layer: keras.Layer) -> list[np.ndarray]:
    """Return the weights of an equivalent model or layer without adapters.

    They are in the order of `layer.weights`, which adapters do not change.
    """
    adapters = adapters_of(layer)
    merged = {id(one.base): one for one in adapters}
    added = {id(weight) for one in adapters for weight in (one.a, one.b)}
    return [
        merged[id(weight)].merged()
        if id(weight) in merged
        else np.asarray(keras.ops.convert_to_numpy(weight))
        for weight in layer.weights
        if id(weight) not in added
    ]


def give_adapters(model: keras.Model, copy: keras.Model) -> None:
    """Add the adapters of a model to its clone, before values are copied.

    The layers inside a cloned layer have none, and Keras (3.15.1) resets the scale of a `Dense` or
    `Embedding` to 1.

    Args:
        model: the original.
        copy: a model with the same layers in the same order.
    """
    pairs = zip(graph.sublayers(model), graph.sublayers(copy), strict=True)
    layers: list[tuple[Any, Any]] = [(ours, theirs) for ours, theirs in pairs if own_adapters(ours)]
    for ours, theirs in layers:
        if not theirs.lora_enabled:
            theirs.enable_lora(ours.lora_rank, lora_alpha=ours.lora_alpha)
        theirs.lora_alpha = ours.lora_alpha
