"""Each deep family on this process' backend, from fit to load and to a server.

MobileNet and BERT are exported and queried in detail in test_export_run.py. An export reads the saved
files and runs on TensorFlow whichever backend trained, so each backend exports another family.
"""

import keras
import numpy as np
import pytest
from builds import png
from processes import ask

import kft
from kft.family import saving
from kft.model.blocks import find_anatomy
from kft.stages.stage import Stage
from recipes import InceptionV3Recipe, ResNetRecipe, VGG16Recipe

# One architecture per file, at the smallest size it accepts; the others only differ in depth.
FAMILIES = {
    "VGG16": (VGG16Recipe, 32),
    "ResNet50": (ResNetRecipe, 32),
    "InceptionV3": (InceptionV3Recipe, 75),
}
SERVED = {"tensorflow": "InceptionV3", "jax": "ResNet50", "torch": "VGG16"}
STAGES = [Stage(0, 1, 1e-3, name="head"), Stage(1, 1, 1e-4, warmup=0.5, name="top")]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return recipe, run and training data by name."""
    folder = tmp_path_factory.mktemp("families")
    found = {}
    for name, (family, size) in FAMILIES.items():
        y = np.arange(4) % 2
        x = np.random.default_rng(0).uniform(0, 120, (4, size, size, 3)).astype("float32")
        x[y == 1, :, : size // 2] += 130
        recipe = family(name, num_classes=2, weights=None, image_size=(size, size))
        settings = {
            "stages": STAGES,
            "cache": True,
            "batch_size": 4,
            "verbose": 0,
            "finish": kft.Finish(report=False),
        }
        found[name] = recipe, recipe.fit((x, y), (x, y), run_dir=folder / name, **settings), (x, y)
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_trains_in_stages_and_loads_as_it_was(fitted, name):
    recipe, one, (x, y) = fitted[name]
    anatomy = find_anatomy(recipe.model)
    assert [layer.name for layer in anatomy.head.layers] == ["predictions"]
    assert len(anatomy.blocks) >= 4
    assert one.history["stage"] == [1, 2]
    loaded = saving.load(one.run_dir)
    assert np.array_equal(loaded.predict(x).scores, recipe.predict(x).scores)
    assert loaded.evaluate((x, y)).accuracy == recipe.evaluate((x, y)).accuracy


def test_a_family_fitted_on_this_backend_serves_what_it_predicts(fitted, tmp_path):
    recipe, *_ = fitted[SERVED[keras.backend.backend()]]
    version = recipe.export(tmp_path / "serving")
    # As many examples as in training, so that nothing is compiled again.
    raw = [png(seed, (40, 60)) for seed in range(4)]
    (answer,) = ask(version, [("serving_default", raw)])
    expected = recipe.predict(raw)
    assert answer["label"] == expected.labels
    for classes, scores, prediction in zip(
        answer["classes"], answer["scores"], expected, strict=True
    ):
        answered = dict(zip(classes, scores, strict=True))
        assert answered == pytest.approx(prediction.scores, abs=1e-5)
