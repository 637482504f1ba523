"""Scaling of pixels for pretrained weights: Keras layers at the start of a model."""

import keras
import numpy as np

IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)  # per channel, for pixels from 0 to 1


def caffe_pixels(inputs):
    """Return pixels in BGR order minus ImageNet's mean, as models from Caffe expect them.

    Args:
        inputs: RGB images with values from 0 to 255, a Keras tensor.
    """
    mean = [-103.939, -116.779, -123.68]
    flipped = keras.ops.flip(inputs, axis=-1)
    return keras.layers.Rescaling(1.0, offset=mean, dtype="float32", name="caffe_pixels")(flipped)


def unit_pixels(inputs):
    """Return pixels scaled to -1 to 1.

    Args:
        inputs: RGB images with values from 0 to 255, a Keras tensor.
    """
    scale = keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="unit_pixels")
    return scale(inputs)


def imagenet_pixels(inputs):
    """Return pixels from 0 to 1, normalised by ImageNet's mean and deviation.

    Args:
        inputs: RGB images with values from 0 to 255, a Keras tensor.
    """
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array(IMAGENET_DEVIATIONS)
    scale = keras.layers.Rescaling(
        (1 / 255 / deviation).tolist(),
        offset=(-mean / deviation).tolist(),
        dtype="float32",
        name="imagenet_pixels",
    )
    return scale(inputs)
