"""Frozen layers that vary from step to step are not cached, so that caching changes no result."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.cache.cut import find_cut
from kft.model.steadiness import code_of

pytestmark = pytest.mark.once

X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
Y = np.arange(32) % 3
TOKENS = np.random.default_rng(1).integers(0, 20, (32, 8))
STAGES = [kft.Stage(0, 2, 0.1), kft.Stage("all", 1, 0.1)]


class AddsToTheLoss(layers.Layer):
    def call(self, x):
        self.add_loss(ops.mean(x**2))
        return x


class Averages(layers.Layer):
    def build(self, shape):
        self.mean = self.add_weight(shape=(shape[-1],), trainable=False, initializer="zeros")

    def call(self, x, training=False):
        if training:
            self.mean.assign(0.5 * self.mean + 0.5 * ops.mean(x, 0))
        return x - self.mean


class Doubles(layers.Layer):
    def call(self, x, training=False):
        return 2 * x if training else x


class Noise(layers.Layer):
    def call(self, x):
        return x + keras.random.normal(ops.shape(x))


def doubles(x, training=False):
    return 2 * x if training else x


def model(*middle):
    x = inputs = keras.Input((8,))
    for layer in (layers.Dense(8), *middle, layers.Dense(8), layers.ReLU()):
        x = layer(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def masked():
    """Return a model with a nested encoder whose mask does not appear in the graph."""
    tokens = keras.Input((8,), dtype="int32")
    encoder = keras.Model(tokens, layers.Embedding(20, 6, mask_zero=True)(tokens))
    tokens = keras.Input((8,), dtype="int32")
    x = layers.GRU(5)(encoder(tokens))
    return keras.Model(tokens, layers.Dense(3, activation="softmax")(x))


def fitted(build, x, cache):
    keras.utils.set_random_seed(0)
    made = build()
    made.compile("sgd", "sparse_categorical_crossentropy")
    history = kft.fit_in_stages(
        made, x, Y, stages=STAGES, validation_data=(x, Y), cache=cache, batch_size=8, verbose=0
    )
    return made.get_weights(), history.history


@pytest.mark.parametrize(
    "build",
    [
        lambda: model(layers.SpectralNormalization(layers.Dense(8))),
        lambda: model(layers.Dense(8, activity_regularizer="l2")),
        lambda: model(layers.ActivityRegularization(l2=0.1)),
        lambda: model(AddsToTheLoss()),
        lambda: model(Averages()),
        lambda: model(Doubles()),
        lambda: model(layers.Lambda(doubles)),
        lambda: model(keras.Sequential([layers.Dense(8), Doubles()])),
        masked,
    ],
)
def test_keeping_what_is_frozen_changes_nothing(build):
    x = TOKENS if build is masked else X
    (weights, history), (others, other) = fitted(build, x, False), fitted(build, x, True)
    for one, two in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], other[name], atol=1e-6)


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (Noise(name="noise"), "noise draws random numbers there"),
        (Doubles(name="own"), "own may compute something else there while it trains"),
        (AddsToTheLoss(name="own"), "own adds to the loss there"),
    ],
)
def test_the_reason_names_the_layer(middle, reason):
    made = model(middle)
    for layer in made.layers[:-1]:
        layer.trainable = False
    cut, said = find_cut(made)
    assert said == reason
    assert middle not in cut.layers


def test_layers_of_ones_own_that_do_the_same_in_each_step_are_kept():
    class Scale(layers.Layer):
        def call(self, x):
            return 3 * x

    scale = Scale()
    made = model(scale)
    for layer in made.layers[:-1]:
        layer.trainable = False
    cut, said = find_cut(made)
    assert not said
    assert scale in cut.layers


def test_other_code_is_another_layer():
    def made(factor):
        class Scale(layers.Layer):
            def call(self, x):
                return 3 * x if factor == 3 else 4 * x + 1

        class Other(layers.Layer):
            def call(self, x):
                return 4 * x

        return Scale() if factor == 3 else Other()

    assert code_of(made(3)) != code_of(made(4))
    assert code_of(made(3)) == code_of(made(3))
    assert code_of(layers.Dense(3)) == ""


def test_a_sequential_model_is_fitted_in_stages():
    def build():
        return keras.Sequential(
            [keras.Input((8,)), layers.Dense(8), layers.ReLU(), layers.Dense(3, "softmax")]
        )

    (weights, _), (others, _) = fitted(build, X, False), fitted(build, X, True)
    for one, two in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
