"""Untrusted preset folders, also in runs: KerasHub builds a text model from them, or nothing."""

import json
import os
import resource
import shutil
import sys

import h5py
import keras_hub
import pytest

import kft
from kft.errors import InputError
from kft.insight.forgetting import forgetting
from kft.recipe.presets import check_preset
from recipes import BertRecipe
from tests.family.test_loading import at_once
from tests.recipes.tiny_bert import save_hugging_face, save_preset
from tests.test_danger import enormous, external_bytes, external_link

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a folder with a preset, and a run that contains the required parts of it."""
    folder = tmp_path_factory.mktemp("presets")
    save_preset(folder / "preset")
    BertRecipe(str(folder / "preset"), num_classes=2, classes=["a", "b"]).save(folder / "run")
    return folder


@pytest.fixture
def preset(whole, tmp_path):
    return shutil.copytree(whole / "preset", tmp_path / "preset")


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole / "run", tmp_path / "run")


def change(path, **settings):
    content = json.loads(path.read_text())
    content["config"].update(settings)
    path.write_text(json.dumps(content))


def use(preset):
    recipe = BertRecipe(str(preset), num_classes=2)
    _ = recipe.model
    return recipe.load(["good film"])


def described(module, class_name, **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


INNER = {
    "a module of a package that is not installed": described("keras_cv.kft_trap", "Trap"),
    "a module of Keras": described("keras.src.utils.jax_utils", "Layer"),
    "a layer that reads a file": described("keras.layers", "TFSMLayer", filepath="/etc"),
    "a layer of code": described("keras.layers", "Lambda", function="print"),
    "a function": {"module": "os", "class_name": "function", "config": "system"},
    "a lambda": {"class_name": "__lambda__", "config": {"value": "code"}},
    "an array": {"class_name": "__numpy__", "config": {"value": [0], "dtype": "int8"}},
    "a policy by another name": {
        **described("keras", "DTypePolicy", name="float32"),
        "registered_name": "mine>Trap",
    },
}


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_nothing_else_is_built_on_the_way(preset, tmp_path, monkeypatch, file, inner):
    """Neither under a key that KerasHub deserializes, nor under one that it passes on."""
    (tmp_path / "keras_cv").mkdir()
    (tmp_path / "keras_cv" / "kft_trap.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.syspath_prepend(tmp_path)
    for key in ("dtype", "name"):
        evil = shutil.copytree(preset, tmp_path / f"evil-{key}")
        change(evil / file, **{key: inner})
        with pytest.raises(InputError, match=rf"{file} describes a .* which is not built"):
            use(evil)
    assert "keras_cv" not in sys.modules


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("config.json", "keras_hub>GPT2Backbone"),
        ("config.json", "keras_hub>BertTokenizer"),
        ("tokenizer.json", "keras_hub>BertBackbone"),
        ("preprocessor.json", "keras_hub>BertBackbone"),
        ("preprocessor.json", None),
    ],
)
def test_each_file_describes_what_it_is_for(preset, file, name):
    content = json.loads((preset / "tokenizer.json").read_text())
    (preset / file).write_text(json.dumps({**content, "registered_name": name}))
    with pytest.raises(InputError, match=f"{file} describes"):
        use(preset)


def test_a_preset_compiles_no_model(preset):
    content = json.loads((preset / "config.json").read_text())
    content["compile_config"] = {"optimizer": "adam"}
    (preset / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"config\.json describes"):
        use(preset)


@pytest.mark.parametrize("name", ["../../private.safetensors", "/etc/passwd", "a/b", 3, [".."]])
def test_an_index_of_weights_names_files_beside_it(tmp_path, name):
    folder = save_hugging_face(tmp_path / "bert")
    index = {"weight_map": {"embeddings.LayerNorm.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="which is not a file next to it"):
        use(folder)


def test_a_pipe_in_a_preset_is_not_waited_for(preset):
    vocabulary = preset / "assets" / "tokenizer" / "vocabulary.txt"
    vocabulary.unlink()
    os.mkfifo(vocabulary)
    with at_once(), pytest.raises(InputError, match=r"vocabulary\.txt is neither a file nor"):
        use(preset)


def test_a_model_that_the_weights_do_not_fill_takes_no_memory(preset):
    change(preset / "config.json", hidden_dim=16_384, intermediate_dim=16_384)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"describes a model of [\d,]+ weights, but the files"):
        use(preset)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # from Keras, before the error
@pytest.mark.parametrize("edit", [external_link, external_bytes, enormous])
def test_the_weights_of_a_preset_reach_no_other_file_and_fill_no_memory(preset, tmp_path, edit):
    with h5py.File(preset / "model.weights.h5", "r+") as file:
        names = []
        file.visititems(lambda name, one: names.append(name) if hasattr(one, "shape") else None)
        edit(file, names[0], tmp_path)
    with pytest.raises(InputError, match="cannot be loaded by BertRecipe"):
        use(preset)


def test_presets_as_kerashub_and_hugging_face_write_them_pass(preset, tmp_path):
    kind = keras_hub.models.BertBackbone
    assert check_preset(preset, kind)["class_name"] == "BertBackbone"
    tokenizer = keras_hub.models.BertTokenizer.from_preset(str(preset))
    keras_hub.models.BertTextClassifierPreprocessor(tokenizer).save_to_preset(str(preset))
    assert (preset / "preprocessor.json").is_file()
    assert list(use(preset)) == ["token_ids", "padding_mask", "segment_ids"]
    sizes = {"vocabulary_size": 9, "num_layers": 1, "num_heads": 1, "hidden_dim": 4}
    half = kind(**sizes, intermediate_dim=4, dtype="bfloat16")
    half.save_to_preset(str(tmp_path / "half"))
    check_preset(tmp_path / "half", kind)
    assert check_preset(save_hugging_face(tmp_path / "hf"), kind)["model_type"] == "bert"


# The preset in a run.


def extra_file(folder, tmp_path):
    (folder / "model.weights.h5").write_bytes(b"")


def another_preprocessor(folder, tmp_path):
    (folder / "preprocessor.json").write_text("{}")


def vocabulary_from_elsewhere(folder, tmp_path):
    path = folder / "assets" / "tokenizer" / "vocabulary.txt"
    path.rename(tmp_path / "elsewhere.txt")
    path.symlink_to(tmp_path / "elsewhere.txt")


def folder_from_elsewhere(folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")


def vocabulary_without_end(folder, tmp_path):
    os.truncate(folder / "assets" / "tokenizer" / "vocabulary.txt", 10**10)


def endless_tokens(folder, tmp_path):
    change(folder / "tokenizer.json", sequence_length=10**9)


def many_layers(folder, tmp_path):
    change(folder / "config.json", num_layers=10**6)


def no_folder(folder, tmp_path):
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "edit",
    [
        extra_file,
        another_preprocessor,
        vocabulary_from_elsewhere,
        folder_from_elsewhere,
        vocabulary_without_end,
        endless_tokens,
        many_layers,
        no_folder,
    ],
)
def test_a_run_holds_the_files_of_its_tokenizer_and_its_encoder_alone(run, tmp_path, edit):
    edit(run / "preset", tmp_path)
    with at_once(), pytest.raises(InputError, match="preset"):
        kft.load(run)


def test_an_encoder_that_the_weights_do_not_fill_takes_no_memory(run):
    change(run / "preset" / "config.json", hidden_dim=16_384, intermediate_dim=16_384)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="does not fit the model"):
        kft.load(run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


@pytest.mark.parametrize("length", [10**9, -1, 0, "all", True, [4]])
def test_texts_are_padded_to_no_more_than_the_encoder_takes(run, length):
    content = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**content, "state": {"length": length}}))
    with pytest.raises(InputError, match="the saved length is"):
        kft.load(run)


def test_the_preset_that_a_run_was_trained_from_is_not_looked_at(run, preset):
    content = json.loads((run / "recipe.json").read_text())
    content["arguments"]["preset"] = "hf://stranger/model"
    (run / "recipe.json").write_text(json.dumps(content))
    recipe = kft.load(run)
    assert recipe.preset == "hf://stranger/model", "for the record"
    assert recipe.predict(["good film"])[0].label in ("a", "b")
    with pytest.raises(InputError, match="nothing is fetched because a run names it"):
        forgetting(recipe, (["good film", "bad film"] * 4, ["x", "y"] * 4))
    recipe.preset = str(preset)
    assert recipe.pretrained().encoder.hidden_dim == 8
