"""Folding of BatchNorm into the convolution before it, in models that only run inference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kft.backends import backend
from kft.model import graph

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def folded(model: keras.Model) -> keras.Model:
    """Return an equivalent model for inference in which BatchNorm is folded into convolutions.

    A convolution and the BatchNorm after it are one affine map (Jacob et al. 2018, section 3.2,
    https://arxiv.org/abs/1712.05877). Keras computes them one after the other, and BatchNorm reads
    and writes each activation several times. On JAX folding was measured to gain only 3 % and is
    left out.

    Args:
        model: a functional model; layers that are not folded are shared with it.

    Returns:
        A model of the same inputs and outputs, equal up to float32 rounding, with copies of the
        current weights of folded layers; `model` itself if there is nothing to fold.
    """
    pairs = _pairs(model) if backend().gains_by_folding else {}
    if not pairs:
        return model
    merged = {conv: _with_bias(conv) for conv in pairs}
    absorbed = set(pairs.values())

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer in absorbed else layer(*args, **kwargs)

    found = keras.models.clone_model(
        model, clone_function=lambda layer: merged.get(layer, layer), call_function=call
    )
    for conv, norm in pairs.items():
        merged[conv].set_weights(_weights(conv, norm))
    return found


def _pairs(model: keras.Model) -> dict[keras.Layer, keras.Layer]:
    """Map each convolution whose output only a BatchNorm takes to it; both are called only once."""
    calls = graph.outer_calls(model)
    takers: dict[int, list[graph.Call]] = {}
    times: dict[keras.Operation, int] = {}
    for call in calls:
        times[call.operation] = times.get(call.operation, 0) + 1
        for tensor in call.inputs:
            takers.setdefault(id(tensor), []).append(call)
    wanted = {id(tensor) for tensor in model.outputs}
    pairs = {}
    for call in calls:
        after = takers.get(id(call.outputs[0]), [])
        if len(after) != 1 or id(call.outputs[0]) in wanted:
            continue
        conv, norm = call.operation, after[0].operation
        if times[conv] == times[norm] == 1 and _can_fold(conv, norm):
            pairs[conv] = norm
    return pairs


def _can_fold(conv: keras.Operation, norm: keras.Operation) -> bool:
    if type(conv) not in _CONVOLUTIONS or type(norm) is not keras.layers.BatchNormalization:
        return False
    axis = 1 if conv.data_format == "channels_first" else 3
    return (
        conv.activation is keras.activations.linear
        and norm.axis in (axis, axis - 4)
        and len(conv.weights) == 1 + conv.use_bias  # no LoRA, which adds to the kernel
        and all(layer.dtype_policy.name == "float32" for layer in (conv, norm))
    )


def _with_bias(conv: keras.Layer) -> keras.Layer:
    kernel = "depthwise" if isinstance(conv, keras.layers.DepthwiseConv2D) else "kernel"
    changed = {"use_bias": True, f"{kernel}_initializer": "zeros", "bias_initializer": "zeros"}
    return type(conv).from_config({**conv.get_config(), **changed})


def _weights(conv: keras.Layer, norm: keras.Layer) -> list[np.ndarray]:
    values = [ops.convert_to_numpy(weight) for weight in conv.weights]
    kernel, bias = values[0], values[1] if conv.use_bias else 0.0
    mean, variance = map(ops.convert_to_numpy, (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance.astype(np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * ops.convert_to_numpy(norm.gamma)
    shift = ops.convert_to_numpy(norm.beta) if norm.center else 0.0
    depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
    per_kernel = scale.reshape(kernel.shape[2:]) if depthwise else scale
    values = [np.asarray(kernel * per_kernel), np.asarray((bias - mean) * scale + shift)]
    with np.errstate(over="ignore"):  # an overflow becomes infinity, which shows in the outputs
        return [value.astype("float32") for value in values]
