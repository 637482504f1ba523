"""The tolerance accepts rounding and nothing else, on weights like those of trained models.

A short form of benchmarks/export_rounding.py, which draws a hundred sets of weights per family.
"""

import builds
import keras
import numpy as np
import pytest
from keras import layers

from kft.cache.folding import folded

pytestmark = pytest.mark.once("tensorflow")

BATCHES = ([0], [1], [0, 1], [0, 1, 2, 3] * 3)


def images(generator: np.random.Generator):
    """Return convolutions with BatchNorm, widely spread statistics and large features; and inputs."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for _ in range(8):
        x = layers.Conv2D(8, 3, padding="same")(x)
        x = layers.BatchNormalization(momentum=0.0)(x)  # use the statistics of one batch
        x = layers.ReLU()(x)
    features = layers.GlobalAveragePooling2D()(layers.Rescaling(50.0)(x))
    scores = layers.Dense(3, "softmax", kernel_initializer="zeros")(features)
    model = keras.Model(inputs, [scores, features])
    pixels = generator.uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    for variable in model.variables:
        if variable.name == "kernel" and len(variable.shape) == 4:
            variable.assign(variable * generator.lognormal(0, 0.7))
        elif variable.name == "kernel":
            variable.assign(generator.normal(0, 0.02, variable.shape))
        elif variable.name == "bias":
            variable.assign(generator.normal(0, 2, variable.shape))
        elif variable.name == "gamma":
            variable.assign(generator.lognormal(0, 0.7, variable.shape))
    model(pixels, training=True)
    return model, pixels


def texts(generator: np.random.Generator):
    """Return a tiny BERT with kernels of very different magnitudes; and inputs."""
    servable = builds.text()
    model = keras.Model(servable.model.input, [servable.model.output, servable.features])
    for variable in model.variables:
        if "kernel" in variable.name:
            variable.assign(generator.normal(0, generator.lognormal(-1, 0.5), variable.shape))
    inputs, _ = servable.decode([text.decode() for text in servable.examples])
    return model, {name: np.asarray(value) for name, value in inputs.items()}


def one_weight(kernel: np.ndarray) -> np.ndarray:
    changed = kernel.copy()
    changed.flat[np.argmax(np.abs(kernel.astype("float32")))] *= -1
    return changed


def one_layer(kernel: np.ndarray) -> np.ndarray:
    return np.roll(kernel, 1, axis=-1)


def other_inputs(inputs):
    """Make all pixels brighter by 1 of 255, or replace the first token of each text."""
    if not isinstance(inputs, dict):
        return inputs + 1
    tokens = inputs["token_ids"].copy()
    tokens[:, 1] = 7
    return {**inputs, "token_ids": tokens}


@pytest.fixture(
    scope="module",
    params=[(family, weights) for family in (images, texts) for weights in ("float32", "float16", "int8")],
    ids=lambda param: f"{param[0].__name__}-{param[1]}",
)  # fmt: skip
def differences(request) -> list[dict[str, float]]:
    """Return per seed the differences of a correct and of wrong exports, in units of the tolerance."""
    import tensorflow as tf

    from kft.export import rounding, storage

    family, weights = request.param
    found = []
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        model, inputs = family(np.random.default_rng(seed))
        if weights == "float16":
            storage.round_weights(model)
        elif weights == "int8":
            storage.quantize(model)
            model = keras.Model(model.input, model.output)  # traced anew, with quantised layers
        export = folded(model) if weights != "float16" else model
        answers, bounds = rounding.measure(model, inputs)
        traced = tf.function(export, autograph=False, reduce_retracing=True)

        def apart(asked, traced=traced, answers=answers, bounds=bounds) -> float:
            worst = 0.0
            for rows in BATCHES:
                batch = keras.tree.map_structure(lambda values, rows=rows: values[rows], asked)
                given = [np.asarray(value) for value in traced(batch)]
                apart = rounding.distances([answer[rows] for answer in answers], given)
                worst = max(worst, float(np.max(apart / bounds)))
            return worst

        outcome = {"right": apart(inputs), "other inputs": apart(other_inputs(inputs))}
        kernels = [one for one in export.variables if one.name.endswith("kernel")]
        kernel = kernels[len(kernels) // 2]
        before = np.array(kernel)
        for sabotage in (one_weight, one_layer):
            kernel.assign(sabotage(before))
            outcome[sabotage.__name__] = apart(inputs)
        found.append(outcome)
    return found


def test_rounding_stays_well_below_the_tolerance(differences):
    assert max(one["right"] for one in differences) < 0.5


@pytest.mark.parametrize("sabotage", ["one_weight", "one_layer", "other inputs"])
def test_a_wrong_export_is_far_beyond_the_tolerance(differences, sabotage):
    assert min(one[sabotage] for one in differences) > 5


def test_measuring_leaves_the_weights_as_they_are():
    from kft.export import rounding

    model, inputs = images(np.random.default_rng(0))
    before = model.get_weights()
    rounding.measure(model, inputs)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
