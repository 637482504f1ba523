"""Real-world Hugging Face folders: missing settings, damaged files, and other kinds of models."""

import json
import os
import shutil

import numpy as np
import pytest

from kft.errors import InputError
from recipes import BertRecipe
from tests.recipes.tiny_bert import VOCABULARY, save_hugging_face

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save_hugging_face(tmp_path_factory.mktemp("bert") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bert")


def edit(path, **changes):
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: v for name, v in content.items() if v is not None}))


def tokens(folder):
    return np.asarray(BertRecipe(folder, num_classes=2).preprocessor.tokenizer("Café GOOD"))


def test_what_the_tokenizer_leaves_out_is_hugging_faces_default(whole, folder):
    edit(folder / "tokenizer_config.json", do_lower_case=None)
    np.testing.assert_array_equal(tokens(folder), tokens(whole))
    assert VOCABULARY[tokens(folder)[0]] == "cafe"
    edit(folder / "tokenizer_config.json", do_lower_case=False)
    assert VOCABULARY[tokens(folder)[0]] == "[UNK]"


def test_what_the_configuration_leaves_out_is_hugging_faces_default(folder):
    edit(folder / "config.json", intermediate_size=None)
    assert BertRecipe(folder, num_classes=2, weights=None).encoder.intermediate_dim == 3072
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"{", b"", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_of_settings_is_named(name, content, folder):
    (folder / name).write_bytes(content)
    recipe = BertRecipe(folder, num_classes=2)
    for ask in (lambda: recipe.preprocessor, lambda: recipe.encoder):
        with pytest.raises(InputError, match=rf": {name} is no(t| )J?.*: bring") as raised:
            ask()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_pipe_in_place_of_a_file_is_never_opened(name, folder):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(InputError, match=rf"{name}: a named pipe, but a file is expected"):
        _ = BertRecipe(folder, num_classes=2).model


@pytest.mark.parametrize(
    ("kind", "way_out"),
    [
        (
            "electra",
            r"bring a KerasHub preset, .* converts albert, bert, distilbert, roberta, xlm-roberta",
        ),
        ("roberta", r"use recipes.EncoderRecipe, which takes it"),
        (5, r"holds a model of type 5, but BertRecipe takes 'bert'"),
    ],
)
def test_another_architecture_is_named(kind, way_out, folder):
    edit(folder / "config.json", model_type=kind)
    with pytest.raises(InputError, match=way_out):
        _ = BertRecipe(folder, num_classes=2).model


def test_weights_that_may_run_code_are_not_looked_for(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        InputError, match=r"lacks model.safetensors \(pytorch_model.bin may run code"
    ):
        _ = BertRecipe(folder, num_classes=2).model


def test_cut_weights_are_told_in_one_line(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"cannot be loaded by BertRecipe: .*500 bytes") as raised:
        _ = BertRecipe(folder, num_classes=2).model
    assert "\n" not in str(raised.value)
