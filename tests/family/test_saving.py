import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kft.distribution.model_copies import copied
from kft.errors import InputError
from kft.family import saving
from kft.family.weights import digest
from tests.small_images import TinyRecipe, bright_sides

ROOT = Path(__file__).parents[2]
OTHERS = {"tensorflow": "torch", "torch": "jax", "jax": "tensorflow"}


@pytest.fixture
def saved(tmp_path):
    recipe = TinyRecipe(num_classes=2, classes=["left", "right"], hidden=(4,), seed=3)
    for weight in recipe.model.weights:  # different weights from those of a new recipe
        weight.assign(weight + 0.5)
    return recipe, recipe.save(tmp_path / "run")


def change(directory, **values):
    path = directory / "recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_loaded_recipe_has_the_arguments_the_classes_and_the_answers(saved):
    recipe, directory = saved
    loaded = saving.load(directory, recipe=TinyRecipe)
    x, _ = bright_sides(4)
    assert loaded.arguments() == recipe.arguments()
    assert loaded.classes == ("left", "right")
    assert np.array_equal(loaded.predict(x).scores, recipe.predict(x).scores)


def test_classes_that_nobody_has_named_stay_open(tmp_path):
    run = TinyRecipe(num_classes=2).save(tmp_path / "run")
    assert saving.load(run, recipe=TinyRecipe).classes is None


def test_another_backend_gives_the_same_answers(saved, tmp_path):
    recipe, directory = saved
    x, _ = bright_sides(4)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, kft; from tests.leaving import leave; "
        "from tests.small_images import TinyRecipe; "
        "recipe = kft.load(sys.argv[1], recipe=TinyRecipe); "
        "np.save(sys.argv[3], recipe.predict(np.load(sys.argv[2])).scores); leave()"
    )
    other = OTHERS[keras.backend.backend()]
    environment = {**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": str(ROOT)}
    paths = [directory, tmp_path / "x.npy", tmp_path / "scores.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, paths)], env=environment, check=True)
    scores = np.load(tmp_path / "scores.npy")
    np.testing.assert_allclose(scores, recipe.predict(x).scores, atol=1e-5)


def test_saving_never_writes_over_something(saved):
    recipe, directory = saved
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(InputError, match="exists already"):
        recipe.save(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


@pytest.mark.once
def test_a_recipe_is_saved_into_an_empty_volume(tmp_path):
    (tmp_path / "lost+found").mkdir()
    assert TinyRecipe(num_classes=2).save(tmp_path) == tmp_path
    assert (tmp_path / "recipe.json").is_file()


@pytest.mark.once
def test_what_is_saved_has_the_permissions_that_the_umask_gives(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)  # setgid: files inherit the group
    before = os.umask(0o002)
    try:
        directory = TinyRecipe(num_classes=2).save(shared / "run")
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o2775
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {"recipe.json": 0o664, "weights.safetensors": 0o664}


def test_a_changed_byte_in_the_weights_is_noticed(saved):
    _, directory = saved
    path = directory / "weights.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="is not what was saved"):
        saving.load(directory, recipe=TinyRecipe)


def test_weights_of_another_model_are_named(saved):
    _, directory = saved
    path = directory / "weights.safetensors"
    weights = load_file(path)
    key = next(iter(sorted(weights)))
    weights[key] = weights[key][..., :1]
    save_file(weights, path)
    change(directory, weights_sha256=digest(path))
    with pytest.raises(InputError, match=rf"weight {key} is float32 \(3, 3, 3, 1\) in the file"):
        saving.load(directory, recipe=TinyRecipe)


def test_missing_weights_are_named(saved):
    _, directory = saved
    (directory / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"has no weights\.safetensors"):
        saving.load(directory, recipe=TinyRecipe)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"class": "nowhere.to:BeFound"}, "of the class `nowhere.to:BeFound`, but"),
        ({"classes": ["only one"]}, "has 1 classes"),
        ({"format": 99}, r"format 99, .*: load it with kft \d"),
        ({"format": 99, "versions": {}}, "format 99, .*: load it with the version that wrote it"),
    ],
)
def test_a_recipe_that_cannot_be_built_again_says_why(saved, values, named):
    _, directory = saved
    change(directory, **values)
    with pytest.raises(InputError, match=named):
        saving.load(directory, recipe=TinyRecipe)


def test_a_description_that_kft_did_not_write_is_refused(tmp_path):
    (tmp_path / "recipe.json").write_text('{"class": "kft.cli.demo.recipe:DigitsRecipe"}')
    with pytest.raises(InputError, match="says no format, so kft did not write it"):
        saving.load(tmp_path)


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is not a finished run: it has no recipe\.json"):
        saving.load(tmp_path)
    (tmp_path / "begun.json").write_text("{}")
    with pytest.raises(InputError, match="interrupted: make the same call again to continue it"):
        saving.load(tmp_path)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        saving.load(tmp_path)


def test_numbers_and_paths_of_any_kind_are_saved(tmp_path):
    recipe = TinyRecipe(num_classes=np.int64(2), image_size=[16, 24], hidden=[3])
    loaded = saving.load(recipe.save(tmp_path / "run"), recipe=TinyRecipe)
    assert (loaded.num_classes, loaded.image_size, loaded.hidden) == (2, (16, 24), (3,))


@dataclass(kw_only=True, eq=False)
class AdaptedRecipe(TinyRecipe):
    """A recipe with a layer adapted to data: a scalar weight, and values derived from weights."""

    def preprocess(self, inputs):
        layer = keras.layers.Normalization(name="adapted")
        layer.adapt(np.random.default_rng(0).uniform(0, 255, (8, 16, 16, 3)))
        return layer(inputs)

    @classmethod
    def rebuild(cls, arguments, directory):
        recipe = super().rebuild(arguments, directory)
        layer = recipe.model.get_layer("adapted")
        layer.set_weights([np.zeros(3), np.ones(3), np.array(0)])
        layer.finalize_state()
        return recipe


def test_a_layer_that_was_adapted_to_data_is_the_same_when_it_is_loaded(tmp_path):
    recipe = AdaptedRecipe(num_classes=2, image_size=(16, 16))
    x = np.random.default_rng(1).uniform(0, 255, (3, 16, 16, 3)).astype("float32")
    loaded = saving.load(recipe.save(tmp_path / "run"), recipe=AdaptedRecipe)
    np.testing.assert_array_equal(loaded.predict(x).scores, recipe.predict(x).scores)
    (layer,) = (one for one in copied(recipe.model).layers if one.name == "adapted")
    np.testing.assert_array_equal(
        *(
            keras.ops.convert_to_numpy(one.mean)
            for one in (layer, recipe.model.get_layer("adapted"))
        )
    )
