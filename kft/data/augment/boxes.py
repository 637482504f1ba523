"""Augmentation of boxes with their images, by the Keras layers that transform boxes correctly."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.errors import InputError

__all__ = ["for_boxes", "moved", "still_seen"]

_MOVING = ("RandomFlip", "RandomTranslation", "RandomZoom")
_COLOURING = (
    "AutoContrast",
    "Equalization",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "Solarization",
)
_FORM = "rel_xyxy"  # left, top, right, bottom as fractions of the image
_NOTHING = -1  # the class of padding
_LEAST = 2.0  # pixels per side; a box with less left in the image is dropped


def for_boxes(layer: Any) -> Any:
    """Return a copy of a layer that also transforms boxes as fractions of the image.

    Layers that only change colours are returned themselves.

    Raises:
        InputError: If the layer is not known to move boxes with their image. Keras' RandomRotation
            (3.15) does not.
    """
    import keras

    name = type(layer).__name__
    if getattr(keras.layers, name, None) is not type(layer) or name not in _MOVING + _COLOURING:
        raise InputError(
            f"layer {layer.name!r} of augment, a {name}, is not known to move boxes with their image: use "
            f"{', '.join(_MOVING)} and layers that change colours, or a function (x, y, seed) -> (x, y) "
            "that changes both"
        )
    if name in _COLOURING:
        return layer
    made = type(layer).from_config(layer.get_config())
    made.bounding_box_format = _FORM
    return made


def moved(layer: Any, images: Any, boxes: Any) -> tuple[Any, Any]:
    """Run a layer over images and boxes `[n, m, 5]`, in a TensorFlow graph."""
    import tensorflow as tf

    if type(layer).__name__ in _COLOURING:
        return tf.cast(layer(images, training=True), tf.float32), boxes
    given = {"images": images, "bounding_boxes": {"boxes": boxes[..., :4], "labels": boxes[..., 4]}}
    found = layer(given, training=True)
    corners, kinds = found["bounding_boxes"]["boxes"], found["bounding_boxes"]["labels"]
    corners, kinds = tf.cast(corners, tf.float32), tf.cast(kinds, tf.float32)
    return tf.cast(found["images"], tf.float32), tf.concat([corners, kinds[..., None]], -1)


def still_seen(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the boxes clipped to the image, with padding in place of those that have left it.

    Args:
        boxes: `[n, m, 5]`, as fractions of the image.
        size: Height and width of the images.
    """
    height, width = size
    corners = np.clip(boxes[..., :4], 0, 1)
    sides = (corners[..., 2:] - corners[..., :2]) * (width, height)
    gone = (sides < _LEAST).any(axis=-1) | (boxes[..., 4] == _NOTHING)
    corners[gone] = 0
    kinds = np.where(gone, _NOTHING, boxes[..., 4])
    return np.concatenate([corners, kinds[..., None]], axis=-1).astype(np.float32)
