"""Pixels as pretrained weights expect them: Keras layers at the start of a model."""

import keras
import numpy as np

IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)  # of the channels, of pixels from 0 to 1


def caffe_pixels(inputs):
    """Pixels in the order BGR with the mean of ImageNet subtracted, as Caffe's models expect them.

    Args:
        inputs: RGB images with values from 0 to 255, a Keras tensor.
    """
    mean = [-103.939, -116.779, -123.68]
    flipped = keras.ops.flip(inputs, axis=-1)
    return keras.layers.Rescaling(1.0, offset=mean, dtype="float32", name="caffe_pixels")(flipped)


def unit_pixels(inputs):
    """Pixels from -1 to 1.

    Args:
        inputs: RGB images with values from 0 to 255, a Keras tensor.
    """
    scale = keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="unit_pixels")
    return scale(inputs)


def imagenet_pixels(inputs):
    """Pixels from 0 to 1 by which ImageNet's mean is subtracted, divided by its deviation.

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
