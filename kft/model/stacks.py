"""Expansion of layers that contain a stack of blocks, so that each block can be frozen and cut."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kft.model import graph

__all__ = ["opened"]


def opened(backbone: keras.Model, inputs: Any, prepare: Callable[[Any], Any]) -> Any:
    """Return a backbone's output for images, in a graph in which each of its blocks is a layer.

    Some backbones, such as KerasHub's ViT, hold their blocks inside one layer. Such a layer's `call` is
    run on the graph's tensors, so that the layers inside become layers of the graph. They get the name
    of the layer around them as a prefix, since names in a graph must be unique.

    Args:
        backbone: A functional model with a single input; the new graph shares its layers.
        inputs: Images, an input `(batch, height, width, channels)` of the new graph.
        prepare: Converts images to the backbone's input, in the same graph.

    Returns:
        The backbone's output, a Keras tensor or a structure of them.
    """
    prepared = prepare(inputs)

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = keras.tree.map_structure(
            lambda one: prepared if one is inputs else one, (args, kwargs)
        )
        if _is_stack(operation):
            return _called_open(operation, args, kwargs)
        if any(one is prepared for one in args):
            _correct_shape(operation, prepared)
        made = operation(*args, **kwargs)
        return _constant(operation, args, kwargs) if _is_same_for_all(operation, made) else made

    given = keras.tree.pack_sequence_as(backbone.input, [inputs])
    copy = keras.models.clone_model(
        backbone, input_tensors=given, clone_function=lambda layer: layer, call_function=call
    )
    return copy.output


def _called_open(stack: keras.Layer, args: Any, kwargs: Any) -> Any:
    """Run a stack's `call` on tensors of a graph, after prefixing its layers with its name."""
    for layer in _parts(stack):
        if not layer.name.startswith(f"{stack.name}_"):
            layer.name = f"{stack.name}_{layer.name}"
    if "return_attention_scores" in inspect.signature(stack.call).parameters:
        # Without scores DeiT's layers return None, which a graph cannot hold.
        kwargs = {**kwargs, "return_attention_scores": True}
    return stack.call(*args, **kwargs)


def _correct_shape(operation: Any, images: Any) -> None:
    """Correct the output shape that a layer declares for images.

    The patch embedding of SigLIP (KerasHub 0.32) declares a class token that it does not have, so that
    a graph which is cut after it would refuse its own tensors.
    """
    if not isinstance(operation, keras.Layer):
        return
    made = operation(ops.zeros((1, *images.shape[1:]), images.dtype))
    declared = operation.compute_output_spec(images)
    if isinstance(declared, keras.KerasTensor) and tuple(declared.shape[1:]) != tuple(
        made.shape[1:]
    ):
        shape = tuple(made.shape[1:])
        operation.compute_output_shape = lambda input_shape: (input_shape[0], *shape)


def _is_same_for_all(operation: Any, made: Any) -> bool:
    """Return whether a layer's output does not depend on the examples, such as rotary angles."""
    if not isinstance(operation, keras.Layer) or operation.weights:
        return False
    return all(tensor.shape and tensor.shape[0] is not None for tensor in keras.tree.flatten(made))


def _constant(operation: Any, args: Any, kwargs: Any) -> Any:
    """Return a layer's constant output as arrays, since a cache holds only rows of examples."""
    args, kwargs = keras.tree.map_structure(
        lambda one: (
            ops.zeros((1, *one.shape[1:]), one.dtype) if keras.backend.is_keras_tensor(one) else one
        ),
        (args, kwargs),
    )
    return keras.tree.map_structure(ops.convert_to_numpy, operation(*args, **kwargs))


def _is_stack(operation: Any) -> bool:
    """Return whether a layer holds a list of blocks: layers of one class with weight matrices."""
    if not isinstance(operation, keras.Layer) or isinstance(operation, keras.Model):
        return False
    return any(
        len(layers) > 1
        and len({type(layer) for layer in layers}) == 1
        and all(any(map(graph.has_matrix, (one, *graph.sublayers(one)))) for one in layers)
        for layers in _lists(operation)
    )


def _lists(layer: keras.Layer) -> list[list[keras.Layer]]:
    """Return the lists of layers among the public attributes of a layer."""
    values = [value for name, value in vars(layer).items() if not name.startswith("_")]
    lists = [list(value) for value in values if isinstance(value, list | tuple)]
    return [one for one in lists if one and all(isinstance(each, keras.Layer) for each in one)]


def _parts(stack: keras.Layer) -> list[keras.Layer]:
    """Return the blocks of a stack and the other layers, without those inside the blocks."""
    blocks = [block for blocks in _lists(stack) for block in blocks]
    inside = {id(layer) for block in blocks for layer in graph.sublayers(block)}
    return [layer for layer in graph.sublayers(stack) if id(layer) not in inside]
