"""Pooling of feature maps and sequences to vectors."""

from typing import Any

import keras

from kft.errors import InputError

_AXES = {"avg": 4, "max": 4, "flatten": 4, "cls": 3, "mean": 3, None: 2}


def pooled(features: Any, pooling: str | None, mask: Any = None) -> Any:
    """Return a vector `(batch, channels)` for each example, in the same functional graph.

    Args:
        features: Feature maps `(batch, height, width, channels)` for `"avg"`, `"max"` and
            `"flatten"`; sequences `(batch, length, channels)` for `"cls"` (the first position) and
            `"mean"` (over the unmasked positions); vectors for None.
        pooling: The way of pooling.
        mask: For `"mean"`, a Keras tensor `(batch, length)` that is 0 at padding.

    Raises:
        InputError: The features have another number of axes.
    """
    if len(features.shape) != _AXES[pooling]:
        raise InputError(
            f"`pooling={pooling!r}` takes features with {_AXES[pooling]} axes, but these have the "
            f"shape {features.shape}."
        )
    if pooling == "avg":
        return keras.layers.GlobalAveragePooling2D(name="head_pool")(features)
    if pooling == "max":
        return keras.layers.GlobalMaxPooling2D(name="head_pool")(features)
    if pooling == "flatten":
        return keras.layers.Flatten(name="head_pool")(features)
    if pooling == "mean":
        return keras.layers.GlobalAveragePooling1D(name="head_pool")(features, mask=mask)
    return features[:, 0, :] if pooling == "cls" else features
