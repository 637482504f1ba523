"""Folding BatchNorm into convolutions does not change predictions."""

import keras
import numpy as np
import pytest
from keras import layers

from kft.cache.folding import folded

BACKEND = keras.backend.backend()
SIZE = (9, 9, 3)


def with_statistics(model):
    """Return the model with random weights, so that an omitted one would be noticed."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.2, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def block(x, convolution, **norm):
    return layers.ReLU()(layers.BatchNormalization(**norm)(convolution(x)))


def foldable():
    inputs = keras.Input(SIZE)
    x = block(inputs, layers.Conv2D(4, 3, padding="same"))
    x = block(x, layers.Conv2D(6, 3, strides=2, use_bias=False), scale=False)
    x = block(x, layers.DepthwiseConv2D(3, depth_multiplier=2), center=False, epsilon=0.1)
    x = block(x, layers.DepthwiseConv2D(2, use_bias=False))
    return with_statistics(keras.Model(inputs, [x, layers.GlobalAveragePooling2D()(x)]))


def answers(model):
    return model.predict(np.random.default_rng(1).uniform(-1, 1, (5, *SIZE)), verbose=0)


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def test_a_folded_model_answers_alike_with_fewer_layers():
    model = foldable()
    weights = model.get_weights()
    found = folded(model)
    for one, other in zip(answers(found), answers(model), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert kinds(found).count("BatchNormalization") == (4 if BACKEND == "jax" else 0)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def activated(x):
    return layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))


def before_the_convolution(x):
    return layers.Conv2D(4, 3)(layers.BatchNormalization()(x))


def asked_for_itself(x):
    made = layers.Conv2D(4, 3)(x)
    return layers.Add()([made, layers.BatchNormalization()(made)])


def called_twice(x):
    convolution = layers.Conv2D(3, 3, padding="same")
    return convolution(layers.BatchNormalization()(convolution(x)))


def along_another_axis(x):
    return layers.BatchNormalization(axis=1)(layers.Conv2D(4, 3)(x))


def in_half_precision(x):
    policy = "mixed_bfloat16"
    return layers.BatchNormalization(dtype=policy)(layers.Conv2D(4, 3, dtype=policy)(x))


@pytest.mark.parametrize(
    "make",
    [activated, before_the_convolution, asked_for_itself, called_twice, along_another_axis,
     in_half_precision],
)  # fmt: skip
def test_what_is_no_affine_map_of_its_own_stays(make):
    inputs = keras.Input(SIZE)
    model = keras.Model(inputs, make(inputs))
    assert folded(model) is model


def test_a_convolution_that_is_an_output_stays():
    inputs = keras.Input(SIZE)
    made = layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, [made, layers.BatchNormalization()(made)])
    assert folded(model) is model


def test_a_convolution_with_lora_stays():
    inputs = keras.Input(SIZE)
    convolution = layers.Conv2D(4, 3)
    model = keras.Model(inputs, layers.BatchNormalization()(convolution(inputs)))
    convolution.enable_lora(2)
    assert folded(model) is model


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50"])
def test_real_architectures_answer_alike(name):
    inputs = keras.Input((32, 32, 3))
    build = getattr(keras.applications, name)
    model = build(include_top=False, weights=None, input_tensor=inputs, pooling="avg")
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            moved = (rng.uniform(-0.1, 0.1, mean.shape), rng.uniform(0.5, 2, variance.shape))
            layer.set_weights([gamma, beta, *moved])
    if BACKEND == "jax":
        assert folded(model) is model
        return
    x = rng.uniform(-1, 1, (4, 32, 32, 3))
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(
        folded(model).predict(x, verbose=0), expected, atol=1e-5 * np.abs(expected).max()
    )
