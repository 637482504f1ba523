"""Finished runs of images and of texts, and the command line in this process."""

import functools

import pytest

import kft
from kft.family import saving
from recipes import BertRecipe
from tests.recipes import tiny_bert
from tests.tiny_recipe import TinyRecipe

load_once = functools.cache(saving.load)


@pytest.fixture(autouse=True)
def no_run_is_loaded_twice(monkeypatch):
    """Reading a tokenizer takes longer than most tests that need one."""
    monkeypatch.setattr(saving, "load", load_once)


@pytest.fixture(scope="session")
def image_run(photos, tmp_path_factory):
    """A run on the photos."""
    directory = tmp_path_factory.mktemp("runs") / "images"
    recipe = TinyRecipe(num_classes=2)
    recipe.fit(photos, run_dir=directory, batch_size=4, finish=kft.Finish(report=False), verbose=0)
    return directory


@pytest.fixture(scope="session")
def text_run(tmp_path_factory):
    """A BERT that nobody trained; its answers are as good as any for how they are written."""
    folder = tmp_path_factory.mktemp("runs")
    preset = str(tiny_bert.save_preset(folder / "preset"))
    names = ["bad", "fine", "good"]
    recipe = BertRecipe(preset, sequence_length=8, num_classes=3, classes=names)
    return recipe.save(folder / "texts")


@pytest.fixture(scope="session")
def loaded_texts(text_run):
    """The same recipe in Python."""
    return load_once(text_run)
