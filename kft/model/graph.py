"""The graph of a functional Keras model as a flat list of layer calls.

Keras 3 has no public way to find the layer that made a tensor, or the layers inside a composite
layer, so private names for both are used here and nowhere else. `tests/model/test_graph.py` checks
them, and records the version of Keras.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kft.errors import InputError
from kft.model.varying_sizes import VaryingSizes, varies


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or operation, with nested functional models expanded.

    Attributes:
        operation: the layer or `keras.Operation` that was called.
        parents: the calls that made its inputs.
        shape: the shape of its first output; None for sizes that vary, except that images of varying
            size count as 512 pixels wide and high.
        owners: the nested models that contain the call, outermost first.
        inputs: its input tensors in the graph.
        outputs: its output tensors in the graph.
    """

    operation: keras.Operation
    parents: tuple[Call, ...]
    shape: tuple[int | None, ...]
    owners: tuple[keras.Model, ...] = ()
    inputs: tuple[keras.KerasTensor, ...] = ()
    outputs: tuple[keras.KerasTensor, ...] = ()

    @property
    def has_weights(self) -> bool:
        """Whether training can change weights here.

        `Normalization` stores the data's mean and variance as weights, which never train.
        """
        layer = self.operation
        if isinstance(layer, keras.layers.Normalization) or not isinstance(layer, keras.Layer):
            return False
        return bool(layer.weights)


def is_functional(model: object) -> bool:
    """Return whether `model` is a built functional or Sequential model, with a graph to read."""
    return isinstance(model, keras.Model) and bool(getattr(model, "outputs", None))


def features(model: keras.Model) -> keras.Model:
    """Return the model up to the input of its last layer with weights, as a feature extractor."""
    last = [call for call in outer_calls(model) if call.has_weights][-1]
    return keras.Model(model.input, last.inputs[0])


def calls(model: keras.Model) -> list[Call]:
    """Return all calls between the inputs and the outputs of `model`, inputs first.

    Args:
        model: a functional or built Sequential model. Functional models nested in it as layers
            are expanded; subclassed layers are not.

    Raises:
        InputError: the model is subclassed or not built, so it has no graph.
    """
    return calls_and_ends(model)[0]


def with_ancestors(chosen: list[Call]) -> set[Call]:
    """Return these calls and all calls that they depend on."""
    found, stack = set(chosen), list(chosen)
    while stack:
        for parent in stack.pop().parents:
            if parent not in found:
                found.add(parent)
                stack.append(parent)
    return found


def calls_and_ends(model: keras.Model) -> tuple[list[Call], list[Call]]:
    """Return `calls(model)`, and those of them that make an output, each once."""
    if not is_functional(model):
        raise InputError(
            f"Model {getattr(model, 'name', model)!r} has no graph to read: it is subclassed, or a "
            "Sequential that is not built. Give it an input (keras.Input, build()), or name the "
            "layers to train: unfreeze=['encoder_3*', 'head']."
        )
    found: list[Call] = []
    sizes = VaryingSizes() if any(varies(tensor) for tensor in model.inputs) else None
    made = _open(model, {}, (), found, sizes)
    return found, list(dict.fromkeys(made[id(tensor)] for tensor in model.outputs))


def inputs_and_outputs(model: keras.Model) -> tuple[Any, Any]:
    """Return the inputs and outputs of a model in their structure.

    A Sequential model (Keras 3.15.1) has no `input` and no `output` before it is called.

    Args:
        model: a functional or built Sequential model.
    """
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def outer_calls(model: keras.Model) -> list[Call]:
    """Return the calls without expanding nested models, of which only the outputs are accessible."""
    found: list[Call] = []
    made: dict[int, Call] = {}
    for node in _nodes_in_order(model.outputs, stop=set()):
        inputs, outputs = tuple(node.input_tensors), tuple(node.output_tensors)
        parents = tuple(dict.fromkeys(made[id(tensor)] for tensor in inputs))
        shape = tuple(getattr(outputs[0], "shape", ()))
        call = Call(node.operation, parents, shape, (), inputs, outputs)
        found.append(call)
        made.update((id(tensor), call) for tensor in outputs)
    return found


def counterparts(model: keras.Model, copy: keras.Model, tensors: Sequence[Any]) -> list[Any]:
    """Return the tensors of a copy that correspond to `tensors` of a model.

    Args:
        model: a functional model.
        copy: a clone of it, or the model itself.
        tensors: tensors of the model's graph, outside of nested models.
    """
    pairs = zip(outer_calls(model), outer_calls(copy), strict=True)
    found = {
        id(ours): theirs
        for one, other in pairs
        for ours, theirs in zip(one.outputs, other.outputs, strict=True)
    }
    return [found[id(tensor)] for tensor in tensors]


def _open(
    model: keras.Model,
    given: dict[int, Call],
    owners: tuple[keras.Model, ...],
    found: list[Call],
    sizes: VaryingSizes | None,
) -> dict[int, Call]:
    """Append the calls of one model to `found`, and return the call that made each of its tensors."""
    made = dict(given)
    for node in _nodes_in_order(model.outputs, stop=set(given)):
        operation, inputs, outputs = node.operation, node.input_tensors, node.output_tensors
        if is_functional(operation):
            inner_tensors = _matching_inputs(operation, inputs)
            if sizes is not None:
                sizes.rename(inputs, inner_tensors)
            inner_given = {
                id(inner): made[id(outer)]
                for inner, outer in zip(inner_tensors, inputs, strict=True)
            }
            inner_made = _open(operation, inner_given, (*owners, operation), found, sizes)
            if sizes is not None:
                sizes.rename(operation.outputs, outputs)
            for tensor, inner in zip(outputs, operation.outputs, strict=True):
                made[id(tensor)] = inner_made[id(inner)]
        else:
            parents = tuple(dict.fromkeys(made[id(tensor)] for tensor in inputs))
            first = outputs[0] if sizes is None else sizes.of_first_output(node)
            shape = tuple(getattr(first, "shape", ()))
            call = Call(operation, parents, shape, owners, tuple(inputs), tuple(outputs))
            found.append(call)
            made.update((id(tensor), call) for tensor in outputs)
    return made


def _matching_inputs(model: keras.Model, tensors: list) -> list[keras.KerasTensor]:
    if len(model.inputs) != len(tensors):
        raise InputError(
            f"The nested model {model.name!r} has {len(model.inputs)} inputs but is called with "
            f"{len(tensors)} tensors. Call it with exactly its inputs."
        )
    return model.inputs


def _nodes_in_order(outputs: list[keras.KerasTensor], stop: set[int]) -> Iterator:
    """Yield the nodes of Keras' graph that `outputs` depend on, in topological order."""
    done: set[int] = set()
    stack = [(_node_of(tensor), False) for tensor in reversed(outputs) if id(tensor) not in stop]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            yield node
            continue
        stack.append((node, True))
        for tensor in reversed(node.input_tensors):
            if id(tensor) not in stop:
                stack.append((_node_of(tensor), False))


def _node_of(tensor: keras.KerasTensor) -> Any:
    """Return the node that made `tensor`, by private names of Keras 3.15.1."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Return every layer inside `layer` at any depth, by a private name of Keras 3.15.1."""
    return layer._flatten_layers(include_self=False)


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Return every BatchNorm layer of a model, at any depth."""
    return [
        layer for layer in sublayers(model) if isinstance(layer, keras.layers.BatchNormalization)
    ]


def own_weights(layer: keras.Layer) -> list[keras.Variable]:
    """Return the weights that a layer holds directly, without those of layers inside it."""
    inner = {id(weight) for one in sublayers(layer) for weight in one.weights}
    return [weight for weight in layer.weights if id(weight) not in inner]


def has_matrix(operation: keras.Operation) -> bool:
    """Return whether a layer has a weight matrix that is not a lookup table."""
    weights = getattr(operation, "weights", [])
    return any(len(weight.shape) > 1 and "embedding" not in weight.name for weight in weights)


def leaf_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers that can be frozen individually, inputs first, each once.

    For a functional model these are the layers of its expanded graph; for a subclassed one, those of
    `model.layers`, with models among them expanded in the same way. Layers that a model holds outside
    of its graph come last.
    """
    leaves = dict.fromkeys(_listed_layers(model))
    inside = {id(one) for leaf in leaves for one in (leaf, *sublayers(leaf))}
    for layer in sublayers(model):
        parts = [id(one) for one in (layer, *sublayers(layer))]
        if inside.isdisjoint(parts):
            leaves[layer] = None
            inside.update(parts)
    return list(leaves)


def container_weights(model: keras.Model) -> list[keras.Variable]:
    """Return the weights outside of `leaf_layers`, which models hold themselves."""
    known = {id(weight) for layer in leaf_layers(model) for weight in layer.weights}
    return [weight for weight in model.weights if id(weight) not in known]


def _listed_layers(model: keras.Model) -> list[keras.Layer]:
    if is_functional(model):
        operations = (call.operation for call in calls(model))
        return [operation for operation in operations if isinstance(operation, keras.Layer)]
    leaves: list[keras.Layer] = []
    for layer in model.layers:
        inner = _listed_layers(layer) if isinstance(layer, keras.Model) else []
        leaves += inner or [layer]
    return leaves


def changing(model: keras.Model) -> list[keras.Variable]:
    """Return the weights that training can change now, including BatchNorm statistics."""
    layers = (layer for layer in leaf_layers(model) if layer.trainable)
    weights = [weight for layer in layers for weight in layer.weights]
    return list({id(one): one for one in (*weights, *model.trainable_variables)}.values())


def settle(model: keras.Model) -> None:
    """Update layers that compute with values derived from their weights.

    `keras.layers.Normalization` reads its mean and variance once, so assigning its weights one by one
    has no effect until `finalize_state` is called.

    Args:
        model: a model whose weights have just been assigned.
    """
    for layer in sublayers(model):
        finalize = getattr(layer, "finalize_state", None)
        if finalize is not None and layer.weights:
            finalize()
