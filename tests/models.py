"""Small real models that several tests share."""

import keras
import numpy as np
from keras import layers


def convnet(classes=3, size=16, seed=0):
    """Return a model of three resolutions with BatchNorm and a pooled head: "c3", "c2..b2", "c1..b1"."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, 3))
    x = inputs
    for index, filters in enumerate((4, 6), start=1):
        x = layers.Conv2D(filters, 3, padding="same", name=f"c{index}")(x)
        x = layers.BatchNormalization(name=f"b{index}")(x)
        x = layers.MaxPooling2D()(layers.ReLU()(x))
    x = layers.Conv2D(6, 3, padding="same", name="c3")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(classes, name="head")(x)
    return keras.Model(inputs, layers.Activation("softmax", dtype="float32")(x), name="convnet")


def images(count=48, classes=3, size=16, seed=0):
    """Return images whose class determines their colour, float32 in 0..1, and int64 labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = random.random((count, size, size, 3), dtype="float32")
    pixels[np.arange(count), :, :, labels % 3] += 0.5
    return pixels, labels.astype("int64")


def values(model):
    """Return a copy of every weight by its path."""
    return {w.path: np.array(keras.ops.convert_to_numpy(w)) for w in model.weights}


def moved(before, after):
    """Return the paths of the weights that differ."""
    return {path for path in before if not np.array_equal(before[path], after[path])}
