"""Untrusted files run no code, fill no memory and reach no other file; they are rejected by name."""

import ast
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kft
from kft.cli.demo.recipe import DigitsRecipe
from kft.errors import InputError, KftError
from kft.stages.stage import read_stages
from recipes import BertRecipe, MobileNetRecipe
from tests.recipes.tiny_bert import save_preset
from tests.small_images import TinyRecipe

pytestmark = pytest.mark.once


class Bomb:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "run"
    DigitsRecipe(num_classes=2, classes=["a", "b"]).save(folder)
    return folder


@pytest.fixture
def run(saved, tmp_path):
    """Return a copy of a run directory to tamper with."""
    return shutil.copytree(saved, tmp_path / "run")


def tamper(run, **changes):
    content = json.loads((run / "recipe.json").read_text())
    content.update(changes)
    (run / "recipe.json").write_text(json.dumps(content))


def test_a_pickle_in_place_of_weights_is_not_loaded(run, tmp_path):
    weights = run / "weights.safetensors"
    weights.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    tamper(run, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(InputError, match="cannot be read"):
        kft.load(run)
    assert not (tmp_path / "exploded").exists()


def test_code_that_comes_with_a_run_is_not_run(run, tmp_path, monkeypatch):
    (run / "evil.py").write_text(f"import os; os.mkdir({str(tmp_path / 'exploded')!r})")
    tamper(run, **{"class": "evil:Recipe"})
    monkeypatch.syspath_prepend(run)
    monkeypatch.chdir(run)
    with pytest.raises(InputError, match="a run is data, not code"):
        kft.load(run)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"class": 3}, "damaged"),
        ({"class": "no colon"}, "damaged"),
        ({"arguments": {"nonsense": 1}}, "does not describe"),
        ({"arguments": []}, "damaged"),
        ({"format": 99}, "format 99"),
        ({"weights_sha256": "0" * 64}, "not what was saved"),
    ],
)
def test_a_tampered_description_is_a_named_error(run, changes, match):
    tamper(run, **changes)
    with pytest.raises(InputError, match=match):
        kft.load(run)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), content=st.binary(min_size=1, max_size=6))
def test_any_bytes_in_a_description_are_a_named_error_or_change_nothing(run, place, content):
    path = run / "recipe.json"
    whole = path.read_bytes()
    at = int(place * len(whole))
    path.write_bytes(whole[:at] + content + whole[at + len(content) :])
    try:
        assert kft.load(run).classes is not None
    except KftError:
        pass
    finally:
        path.write_bytes(whole)


def test_stages_in_yaml_make_no_objects(tmp_path):
    evil = tmp_path / "stages.yaml"
    evil.write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'exploded'}']")
    with pytest.raises(InputError):
        read_stages(evil)
    assert not (tmp_path / "exploded").exists()


def external_link(file, name, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.zeros(file[name].shape, "float32")
    del file[name]
    file[name] = h5py.ExternalLink(str(folder / "other.h5"), "x")


def external_bytes(file, name, folder):
    shape = file[name].shape
    size = 4 * int(np.prod(shape))
    (folder / "secret").write_bytes(b"\0" * size)
    del file[name]
    file.create_dataset(name, shape, "f4", external=[(str(folder / "secret"), 0, size)])


def enormous(file, name, folder):
    del file[name]
    file.create_dataset(name, (10**6, 10**6), "f4", chunks=(1000, 1000))


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # from Keras, before the error
@pytest.mark.parametrize("edit", [external_link, external_bytes, enormous])
def test_a_weights_file_reaches_no_other_file_and_fills_no_memory(tmp_path, edit):
    shape = {"input_shape": (32, 32, 3), "alpha": 0.25, "include_top": False, "weights": None}
    path = tmp_path / "evil.weights.h5"
    keras.applications.MobileNet(**shape).save_weights(path)
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, one: names.append(name) if hasattr(one, "shape") else None)
        edit(file, names[0], tmp_path)
    recipe = MobileNetRecipe(
        "MobileNet", num_classes=2, alpha=0.25, image_size=(32, 32), weights=str(path)
    )
    with pytest.raises(InputError, match=r"evil\.weights\.h5"):
        _ = recipe.model


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_preset(tmp_path_factory.mktemp("preset") / "bert")


def use(preset):
    recipe = BertRecipe(str(preset), num_classes=2)
    _ = recipe.model
    recipe.load(["good film"])


@pytest.mark.parametrize(
    ("file", "module", "name"),
    [
        ("config.json", "os", "mkdir"),
        ("config.json", "keras.layers", "Lambda"),
        ("config.json", "keras.layers", "TFSMLayer"),
        ("tokenizer.json", "os", "mkdir"),
        ("tokenizer.json", "keras.layers", "StringLookup"),
    ],
)
def test_a_preset_makes_nothing_but_its_backbone_and_tokenizer(
    preset, tmp_path, file, module, name
):
    evil = shutil.copytree(preset, tmp_path / "evil")
    content = json.loads((evil / file).read_text())
    target = str(tmp_path / "exploded")
    config = {"path": target, "filepath": target, "vocabulary": "/etc/passwd"}
    content.update(module=module, class_name=name, registered_name=None, config=config)
    (evil / file).write_text(json.dumps(content))
    with pytest.raises(InputError, match="cannot be loaded by BertRecipe"):
        use(evil)
    assert not (tmp_path / "exploded").exists()


def test_a_tokenizer_reads_no_vocabulary_from_elsewhere(preset, tmp_path):
    evil = shutil.copytree(preset, tmp_path / "evil")
    content = json.loads((evil / "tokenizer.json").read_text())
    content["config"]["vocabulary"] = "/etc/passwd"
    (evil / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="cannot be loaded by BertRecipe"):
        use(evil)


def test_a_whole_model_is_no_weights_file(tmp_path):
    """A `.keras` archive can contain code in Lambda layers, so it is not opened."""
    path = tmp_path / "model.keras"
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(path)
    recipe = MobileNetRecipe("MobileNet", num_classes=2, image_size=(32, 32), weights=str(path))
    with pytest.raises(InputError, match=r"file ending in \.h5"):
        _ = recipe.model


def test_images_are_not_read_from_outside_their_folder(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(
                tmp_path / "photos" / name / f"{number}.png"
            )
    Image.new("RGB", (16, 16)).save(tmp_path / "private.png")
    (tmp_path / "photos" / "a" / "link.png").symlink_to(tmp_path / "private.png")
    with pytest.raises(InputError, match=r"link\.png"):
        TinyRecipe(num_classes=2).read(tmp_path / "photos")


# Modules and calls that execute what they read, or import by name.
UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
}
UNSAFE_WORDS = {"allow_pickle": "False", "shell": "False", "safe_mode": "True"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "unsafe_load", "full_load", "load_model",
                "model_from_json", "deserialize_keras_object", "broadcast_object_list",
                "all_gather_object", "scatter_object_list", "gather_object", "fromfile",
                "enable_unsafe_deserialization", "read_pickle", "to_pickle", "system", "popen"}  # fmt: skip
ROOT = Path(__file__).parent.parent
SOURCES = [p for part in ("kft", "recipes", "benchmarks") for p in (ROOT / part).rglob("*.py")]


def unsafe(tree):
    """Yield each import and call in a module that could execute untrusted content."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in UNSAFE_MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            module, _, name = called.rpartition(".")
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            named = name in UNSAFE_CALLS and not (name == "compile" and module)
            told = any(words.get(word, usual) != usual for word, usual in UNSAFE_WORDS.items())
            if named or told or called in ("yaml.load", "torch.load"):
                yield called


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_the_package_runs_what_it_reads(path):
    assert list(unsafe(ast.parse(path.read_text()))) == []


def test_what_would_run_is_seen():
    code = "import pickle; eval(x); yaml.load(x); load(x, allow_pickle=True); run(x, shell=y)"
    assert sorted(unsafe(ast.parse(code))) == ["eval", "load", "pickle", "run", "yaml.load"]
