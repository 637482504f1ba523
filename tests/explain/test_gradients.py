"""Gradients with respect to inputs are those that finite differences find, on every backend."""

import keras
import numpy as np

from kft.insight.explain import parts
from kft.insight.explain.gradients import InputGradient
from tests.models import convnet
from tests.recipes import tiny_bert


def smooth_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(5, 3, activation="tanh")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def differences(function, x, step=0.05):
    """Central differences of fourth order, one input number at a time."""
    found = np.zeros(x.size)
    for place in range(x.size):
        moved = np.tile(x.reshape(-1), (4, 1))
        moved[:, place] += step * np.array([-2, -1, 1, 2])
        values = [function(one.reshape(x.shape)) for one in moved]
        found[place] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
    return found.reshape(x.shape)


def test_the_gradient_is_what_finite_differences_find():
    model = smooth_model()
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 4, 4, 2)).astype("float32")
    weights = np.array([[1.0, 0, 0], [0.5, -2, 1]], "float32")
    before = [np.array(keras.ops.convert_to_numpy(one)) for one in model.variables]

    def value(moved):
        return float((model.predict_on_batch(moved.astype("float32")) * weights).sum())

    gradient = InputGradient(model)(x, weights)
    assert np.abs(gradient).max() > 0.01
    np.testing.assert_allclose(gradient, differences(value, x), atol=1e-4)
    for one, other in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), other)


def test_the_gradient_of_embeddings_is_what_finite_differences_find(tmp_path):
    from recipes import BertRecipe

    recipe = BertRecipe(tiny_bert.save_preset(tmp_path / "preset"), num_classes=2, dropout=0.0)
    inputs = recipe.load(["good film"], 8)
    below, above, names = parts.embeddings(recipe.model)
    x = below.predict_on_batch(inputs["token_ids"]) * 20  # away from a norm of almost nothing
    others = [inputs[name] for name in names]

    def value(moved):
        return float(above.predict_on_batch([moved.astype("float32"), *others])[0, 1])

    gradient = InputGradient(above)([x, *others], np.array([[0.0, 1.0]]))
    assert np.abs(gradient).max() > 0.003
    np.testing.assert_allclose(gradient, differences(value, x, step=0.02), atol=1e-4)


def test_the_gradient_follows_the_weights_as_they_are_now():
    model = convnet()
    x = np.random.default_rng(0).random((1, 16, 16, 3), "float32")
    gradient = InputGradient(model)
    first = gradient(x, np.eye(3)[:1])
    model.get_layer("head").kernel.assign(model.get_layer("head").kernel * 0.0)
    assert np.abs(first).max() > 0
    assert not gradient(x, np.eye(3)[:1]).any()


def test_frozen_models_have_input_gradients_too():
    model = smooth_model()
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    expected = InputGradient(model)(x, np.eye(3)[:1])
    model.trainable = False
    np.testing.assert_allclose(InputGradient(model)(x, np.eye(3)[:1]), expected, rtol=1e-5)
