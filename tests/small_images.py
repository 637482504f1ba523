"""A recipe that trains in a second, and data that it can learn."""

import io
from dataclasses import dataclass, field
from typing import ClassVar

import keras
import numpy as np
from PIL import Image

from kft.recipe.image import ImageRecipe
from kft.recipe.preprocessing import unit_pixels


def convolved(x, block, width, size, **settings):
    """Apply a convolution with BatchNorm and ReLU."""
    x = keras.layers.Conv2D(width, size, **settings, name=f"{block}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.5, name=f"{block}_bn")(x)
    return keras.layers.ReLU(name=f"{block}_relu")(x)


def tiny(*, include_top, weights, input_tensor):
    """Return a convolutional backbone of three blocks, called like those of `keras.applications`."""
    assert not include_top
    assert weights is None
    x = input_tensor
    for block, width in enumerate((4, 8, 8), start=1):
        x = convolved(x, f"block{block}", width, 3, padding="same")
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


@dataclass(kw_only=True, eq=False)
class TinyRecipe(ImageRecipe):
    architectures: ClassVar = {"Tiny": tiny}
    smallest_image: ClassVar[int] = 8

    name: str = field(default="Tiny", kw_only=False)
    image_size: tuple[int, int] = (16, 16)
    weights: str | None = None

    def preprocess(self, inputs):
        return unit_pixels(inputs)


def dense(*, include_top, weights, input_tensor):
    """Return a backbone without convolutions, which JAX compiles slowly."""
    x = input_tensor
    for block in (1, 2):
        x = keras.layers.Dense(8, use_bias=False, name=f"block{block}_dense")(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"block{block}_bn")(x)
        x = keras.layers.ReLU(name=f"block{block}_relu")(x)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


@dataclass(kw_only=True, eq=False)
class DenseRecipe(ImageRecipe):
    architectures: ClassVar = {"Dense": dense}
    smallest_image: ClassVar[int] = 4
    name: str = field(default="Dense", kw_only=False)
    image_size: tuple[int, int] = (4, 4)
    weights: str | None = None

    def preprocess(self, inputs):
        return unit_pixels(inputs)


def wide(*, include_top, weights, input_tensor):
    """Return a backbone of three blocks, the last with a kernel large enough to be sharded."""
    x = input_tensor
    for block, width in enumerate((8, 256, 256), start=1):
        size = 4 if block == 1 else 1
        x = convolved(x, f"block{block}", width, size, strides=size)
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


@dataclass(kw_only=True, eq=False)
class WideRecipe(TinyRecipe):
    architectures: ClassVar = {"Wide": wide}
    name: str = field(default="Wide", kw_only=False)


def small_images(count, seed=0):
    """Return images of 4 x 4 pixels whose second class is brighter, as (x, y)."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = rng.uniform(0, 160, (count, 4, 4, 3)).astype("float32")
    return x + 60 * y[:, None, None, None].astype("float32"), y


def encoded(pixels):
    """Return images as the bytes of PNG files."""
    files = [io.BytesIO() for _ in pixels]
    for image, file in zip(pixels, files, strict=True):
        Image.fromarray(np.uint8(image)).save(file, "PNG")
    return [file.getvalue() for file in files]


def export_answers(version, inputs):
    """Return the scores of an export, in the order of the classes."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    found = signature(**{name: tf.constant(inputs)})
    order = np.argsort(found["classes"].numpy(), axis=1)
    return np.take_along_axis(found["scores"].numpy(), order, axis=1)


def bright_sides(count=48, classes=2, seed=0):
    """Return images whose class is their bright part, as (x, y)."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    x = rng.uniform(0, 120, (count, 16, 16, 3)).astype("float32")
    width = 16 // classes
    for image, label in zip(x, y, strict=True):
        image[:, label * width : (label + 1) * width] += 130
    return x, y
