"""Splitting a recipe's model at the tensor that is explained."""

from __future__ import annotations

from typing import Any

import keras

from kft.arguments import shown
from kft.errors import InputError
from kft.model import graph


def logits(model: keras.Model) -> Any:
    """Return the tensor before the last activation, where scores do not saturate.

    If the activation is part of the last layer, return the output instead.
    """
    output = model.outputs[0]
    last = _made(model)[id(output)]
    if isinstance(last.operation, keras.layers.Activation | keras.layers.Softmax):
        return last.inputs[0]
    return output


def feature_maps(model: keras.Model, layer: str | None) -> tuple[keras.Model, keras.Model]:
    """Split the model at a feature map: up to it, and from there to the tensor of `logits`.

    Args:
        model: A model for images.
        layer: Name of the layer with the feature map, None for the last with height and width.

    Raises:
        InputError: If there is no such layer, or other connections bypass it.
    """
    maps = [call for call in graph.outer_calls(model) if len(call.shape) == 4 and call.parents]
    if layer is not None:
        maps = [call for call in maps if isinstance(layer, str) and call.operation.name == layer]
    if not maps:
        known = [call.operation.name for call in graph.outer_calls(model) if len(call.shape) == 4]
        raise InputError(
            f"`layer={shown(layer)}`: model {model.name!r} has feature maps at "
            f"{', '.join(known[-8:]) or 'no layer'}; pass one of them, or None for the last."
        )
    tensor = maps[-1].outputs[0]
    try:
        above = keras.Model(tensor, logits(model))
    except ValueError as error:
        raise InputError(
            f"`layer={layer!r}`: other connections bypass it, so its output alone does not "
            "determine the scores; pass the last layer of a block."
        ) from error
    return keras.Model(model.input, tensor), above


def embeddings(model: keras.Model, to: Any = None) -> tuple[keras.Model, keras.Model, list[str]]:
    """Split the model at the embedding of its tokens.

    Args:
        model: A model for texts.
        to: A tensor of the model, such as that of `logits`. Defaults to its output, the scores.

    Returns:
        A model from token ids to their embeddings; one from those and the other inputs to the tensor;
        and the names of the other inputs in their order.

    Raises:
        InputError: If the model has no input `token_ids`, or uses it in several places.
    """
    inputs = model.input
    if not isinstance(inputs, dict) or "token_ids" not in inputs:
        raise InputError(f"Model {model.name!r} has no input 'token_ids', so no tokens to explain.")
    tokens = inputs["token_ids"]
    users = [call for call in graph.outer_calls(model) if any(t is tokens for t in call.inputs)]
    if len([call for call in users if call.parents]) != 1:
        raise InputError(
            f"Model {model.name!r} uses its tokens in {len(users)} places: expected one embedding."
        )
    (embedded,) = users[-1].outputs
    names = [name for name in inputs if name != "token_ids"]
    below = keras.Model(tokens, embedded)
    to = model.outputs[0] if to is None else to
    above = keras.Model([embedded, *(inputs[name] for name in names)], to)
    return below, above, names


def _made(model: keras.Model) -> dict[int, graph.Call]:
    return {id(tensor): call for call in graph.outer_calls(model) for tensor in call.outputs}
