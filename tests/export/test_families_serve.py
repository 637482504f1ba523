"""Deep families, fitted on this process' backend, serve what this process predicts.

MobileNet and BERT are asked at length in test_export_run.py.
"""

import json

import numpy as np
import pytest
from builds import png
from processes import ask, run

from kft.stages import Stage
from recipes import InceptionV3Recipe, ResNetRecipe, VGG16Recipe

# One of each file, at the smallest size it accepts.
FAMILIES = {
    "VGG16": (VGG16Recipe, 32),
    "ResNet50V2": (ResNetRecipe, 32),
    "InceptionV3": (InceptionV3Recipe, 75),
}
# What `kft export` starts for one run, here for all of them: TensorFlow is imported once.
EXPORT = """
import json, sys
from kft.export.command import main
for run, base in json.loads(sys.argv[1]):
    assert main([run, base]) == 0
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Name to fitted recipe and version."""
    folder = tmp_path_factory.mktemp("families")
    recipes, orders = {}, []
    for name, (family, size) in FAMILIES.items():
        x = np.random.default_rng(0).uniform(0, 255, (4, size, size, 3)).astype("float32")
        y = np.arange(4) % 2
        recipes[name] = family(name, num_classes=2, weights=None, image_size=(size, size))
        recipes[name].fit(
            (x, y), (x, y), stages=[Stage(0, 1, 1e-3)], run_dir=folder / name, verbose=0
        )
        orders.append((str(folder / name), str(folder / "serving" / name)))
    run("-c", EXPORT, json.dumps(orders))
    return {name: (recipes[name], folder / "serving" / name / "1") for name in FAMILIES}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_fitted_on_this_backend_serves_what_it_predicts(exported, name):
    recipe, version = exported[name]
    raw = [
        png(seed, (40, 60)) for seed in range(4)
    ]  # as many as were fitted: nothing compiles again
    (answer,) = ask(version, [("serving_default", raw)])
    expected = recipe.predict(raw)
    assert answer["label"] == expected.labels
    for classes, scores, prediction in zip(
        answer["classes"], answer["scores"], expected, strict=True
    ):
        answered = dict(zip(classes, scores, strict=True))
        assert answered == pytest.approx(prediction.scores, abs=1e-5)
