"""Pooling of the features of a clip's frames to one vector."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["TIMES", "over_time"]

TIMES = ("average", "attention", "gru")
_ATTENTION, _GRU = 64, 128  # units


def over_time(frames: Any, how: str, seed: int) -> Any:
    """Return a vector for each clip, in the same functional graph.

    Args:
        frames: A Keras tensor `(batch, frames, channels)`.
        how: `"average"`: the mean of the frames, as in temporal segment networks (Wang et al. 2016,
            https://arxiv.org/abs/1608.00859), `(batch, channels)`. `"attention"`: their mean with learnt
            weights (Ilse et al. 2018, https://arxiv.org/abs/1802.04712), `(batch, channels)`; it starts
            as the plain mean. `"gru"`: the last state of a recurrent layer (Cho et al. 2014,
            https://arxiv.org/abs/1406.1078), `(batch, 128)`; only this one depends on their order.
        seed: Seed of the initial weights.
    """
    if how == "average":
        return keras.layers.GlobalAveragePooling1D(name="head_time")(frames)
    if how == "gru":
        return keras.layers.GRU(
            _GRU,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed),
            name="head_time",
        )(frames)
    hidden = keras.layers.Dense(
        _ATTENTION,
        activation="tanh",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
        name="head_attention_hidden",
    )(frames)
    scores = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros", name="head_attention_scores"
    )(hidden)
    weights = keras.layers.Softmax(axis=1, name="head_attention")(scores)
    mean = keras.layers.Dot(axes=1, name="head_time")([frames, weights])
    return keras.layers.Flatten(name="head_time_flat")(mean)
