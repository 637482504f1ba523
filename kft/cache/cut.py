"""Cutting a model so that everything below the cut produces the same output in every epoch."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Sequence, Set
from typing import Any

import keras
import numpy as np

from kft.cache.boundary import boundary
from kft.model import graph
from kft.model.adapters import merged_values
from kft.model.frames import FoldFrames, UnfoldFrames, frames_at
from kft.model.positions import positions
from kft.model.steadiness import changes, code_of


@dataclasses.dataclass(frozen=True, eq=False)
class Cut:
    """A model in two parts: a frozen prefix, and a suffix that trains on its outputs.

    Attributes:
        prefix: from the model's inputs to the cut tensors; deterministic, nothing in it trains.
        suffix: from the cut tensors to the model's outputs; it shares the model's layers.
        layers: the layers of the prefix, input layers aside, nearest the input first.
        operations: approximate multiplications and additions of the prefix per example.
    """

    prefix: keras.Model
    suffix: keras.Model
    layers: tuple[keras.Operation, ...]
    operations: int

    @property
    def varies(self) -> tuple[bool, ...]:
        """Whether the sequence length of each cut tensor varies."""
        return tuple(len(t.shape) > 1 and t.shape[1] is None for t in self.prefix.outputs)

    def numbers(self, length: int | None = None) -> tuple[int, ...] | None:
        """Return the size of each cut tensor for one example.

        Args:
            length: length of the sequences where it varies.

        Returns:
            Numbers per example of each tensor; None if one varies and `length` is not given.
        """
        found = []
        for tensor in self.prefix.outputs:
            sizes = [length if size is None else size for size in tensor.shape[1:]]
            if None in sizes:
                return None
            found.append(math.prod(size for size in sizes if size is not None))
        return tuple(found)

    @functools.cached_property
    def digest(self) -> str:
        """A hash of everything that affects the prefix's outputs: its layers, settings and weights."""
        found = hashlib.sha256()
        for layer in self.layers:
            described = [type(layer).__name__, _settings(layer), code_of(layer)]
            found.update(json.dumps(described, sort_keys=True, default=repr).encode())
            # Adapters are merged: until they train they change nothing, whatever their rank.
            values = merged_values(layer) if isinstance(layer, keras.Layer) else []
            for value in map(np.ascontiguousarray, values):
                found.update(f"{value.dtype}{value.shape}".encode())
                found.update(value.view(np.uint8).reshape(-1).data)
        return found.hexdigest()


_STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics")


def find_cut(model: keras.Model, moved: Set[int] = frozenset()) -> tuple[Cut | None, str]:
    """Cut a model at the deepest tensors below which nothing trains and nothing is random.

    Args:
        model: a functional model whose `trainable` flags are those of the stage.
        moved: ids of variables that will have changed by the time the stage begins.

    Returns:
        The cut, or None; and the reason if there is no cut, or if a frozen layer whose output
        changes from step to step prevents a deeper one.
    """
    if not graph.is_functional(model):
        return None, "the model is subclassed, so it has no graph to cut"
    own = [name for name in _STEPS if getattr(type(model), name) is not getattr(keras.Model, name)]
    if own:
        return None, f"the model overrides {own[0]}, which its parts would not do"
    calls = graph.outer_calls(model)
    inside = {id(w) for call in calls for w in getattr(call.operation, "weights", [])}
    if any(weight.trainable and id(weight) not in inside for weight in model.weights):
        return None, "the stage trains weights outside of the model's graph"
    steady: set[graph.Call] = set()
    frozen: set[graph.Call] = set()  # would be steady if no layer were random
    unsteady: dict[str, list[str]] = {}
    for call in calls:
        if _trains(call.operation) or _holds(call.operation, moved):
            continue
        if all(parent in frozen for parent in call.parents):
            frozen.add(call)
        if not all(parent in steady for parent in call.parents):
            continue
        why = changes(call.operation) or _hides_mask(call)
        if why:
            unsteady.setdefault(why, []).append(call.operation.name)
            continue
        steady.add(call)
    if not any(getattr(call.operation, "weights", []) for call in frozen - steady):
        unsteady = {}
    tensors = boundary(model, calls, steady)
    layers, operations = _below(tensors, calls)
    random = next((f"{', '.join(names[:2])} {why}" for why, names in unsteady.items()), "")
    if not any(getattr(layer, "weights", []) for layer in layers):
        return None, random or "the stage trains from the first layer on"
    if any(id(tensor) in {id(t) for t in model.outputs} for tensor in tensors):
        return None, "the stage trains nothing that the outputs depend on"
    return _parts(model, tensors, layers, operations), random


def cut_at(model: keras.Model, tensors: Sequence[Any]) -> Cut:
    """Cut a model at tensors that all of its outputs depend on, for a stage without steps.

    No layer has to be checked for randomness: everything below the tensors runs in inference mode.

    Args:
        model: a functional model.
        tensors: tensors of its graph, outside of nested models.
    """
    return _parts(model, list(tensors), *_below(tensors, graph.outer_calls(model)))


def _settings(layer: keras.Operation) -> dict[str, Any]:
    """Return the arguments that a layer was made with, except for its name."""
    if not isinstance(layer, keras.Layer):
        return {}
    try:
        found = layer.get_config()
    except (AttributeError, TypeError):
        # In KerasHub 0.32 `get_config` fails for LlamaTransformerDecoder, which has no
        # `rope_scaling_factor`, and for Swin's patch embedding, which treats a class as an object.
        plain = (bool, int, float, str)
        public = (name for name in vars(layer) if not name.startswith("_"))
        found = {name: value for name in public if isinstance(value := vars(layer)[name], plain)}
    without = ("name", "trainable", "training", "lora_rank", "lora_alpha")
    return {k: v for k, v in found.items() if k not in without}


def _below(
    tensors: Sequence[Any], calls: Sequence[graph.Call]
) -> tuple[tuple[keras.Operation, ...], int]:
    """Return the layers that tensors depend on, and their multiplications and additions."""
    needed = _needed(tensors, {id(tensor): call for call in calls for tensor in call.outputs})
    layers = tuple(call.operation for call in calls if call in needed and call.parents)
    rows = frames_at(calls)
    return layers, sum(rows[call] * _operations(call) for call in calls if call in needed)


def _parts(
    model: keras.Model, tensors: list, layers: tuple[keras.Operation, ...], operations: int
) -> Cut:
    inputs, outputs = graph.inputs_and_outputs(model)
    if isinstance(outputs, list | tuple) and len(outputs) == 1:
        (outputs,) = outputs
    suffix = keras.Model(tensors[0] if len(tensors) == 1 else tuple(tensors), outputs)
    rows = frames_at(calls := graph.outer_calls(model))
    made = {id(tensor): rows[call] for call in calls for tensor in call.outputs}
    frames = [made[id(tensor)] for tensor in tensors]
    if max(frames) == 1:
        return Cut(keras.Model(inputs, tensors), suffix, layers, operations)
    kept = [
        tensor if count == 1 else UnfoldFrames(count)(tensor)
        for tensor, count in zip(tensors, frames, strict=True)
    ]
    return Cut(keras.Model(inputs, kept), _on_clips(suffix, kept, frames), layers, operations)


def _on_clips(suffix: keras.Model, kept: list, frames: list[int]) -> keras.Model:
    """Return a suffix that takes one row per clip in place of one row per frame.

    Args:
        suffix: The part above the cut.
        kept: The outputs of the prefix, one row per clip.
        frames: For each of them the number of rows per clip in the suffix's input.
    """
    given = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in kept]
    folded = [
        tensor if count == 1 else FoldFrames(count)(tensor)
        for tensor, count in zip(given, frames, strict=True)
    ]
    # `suffix.call` adds its layers to the new graph; calling the suffix would nest a model in it.
    outputs = suffix.call(folded[0] if len(folded) == 1 else tuple(folded))
    return keras.Model(given[0] if len(given) == 1 else tuple(given), outputs)


def _trains(operation: keras.Operation) -> bool:
    """Return whether a step may change a weight of the operation.

    The weights' own flags count: a frozen layer may share a weight with one that trains.
    """
    if not isinstance(operation, keras.Layer):
        return False
    norms = keras.layers.BatchNormalization
    moves_statistics = any(
        isinstance(one, norms) and one.trainable for one in (operation, *graph.sublayers(operation))
    )
    return moves_statistics or any(weight.trainable for weight in operation.weights)


def _hides_mask(call: graph.Call) -> str:
    """Return a reason if the outputs carry a mask at run time that the graph does not show.

    Keras (3.15.1) attaches the mask of a nested model to the computed tensors, so the part above a
    cut would not receive it.
    """
    operation = call.operation
    if not isinstance(operation, keras.Layer) or any(map(_mask_of, call.outputs)):
        return ""
    if graph.is_functional(operation):
        masked = any(map(_mask_of, operation.outputs))
    else:
        masked = any(len(tensor.shape) > 2 for tensor in call.outputs) and any(
            isinstance(one, keras.layers.Masking) or getattr(one, "mask_zero", False)
            for one in graph.sublayers(operation)
        )
    return "hands on a mask that the graph does not show" if masked else ""


def _mask_of(tensor: keras.KerasTensor) -> bool:
    return getattr(tensor, "_keras_mask", None) is not None


def _holds(operation: keras.Operation, variables: Set[int]) -> bool:
    return any(id(weight) in variables for weight in getattr(operation, "weights", ()))


def _needed(tensors: Sequence[Any], made: dict[int, graph.Call]) -> set[graph.Call]:
    found: set[graph.Call] = set()
    stack = [made[id(tensor)] for tensor in tensors]
    while stack:
        call = stack.pop()
        if call not in found:
            found.add(call)
            stack.extend(call.parents)
    return found


def _operations(call: graph.Call) -> int:
    """Count two operations per matrix weight and position that the matrix is applied at."""
    places = [size or 64 for size in positions(call)]
    weights = getattr(call.operation, "weights", [])
    numbers = sum(
        math.prod(w.shape) for w in weights if len(w.shape) > 1 and "embedding" not in w.name
    )
    return 2 * numbers * math.prod(places)
