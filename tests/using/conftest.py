"""Finished runs of images and of texts, and the command line in this process."""

import functools
import sys

import numpy as np
import pytest
from PIL import Image

from kft import saving
from kft.cli import main
from recipes import BertRecipe
from tests.recipes import tiny_bert
from tests.tiny_recipe import TinyRecipe

load_once = functools.cache(saving.load)


@pytest.fixture(autouse=True)
def no_run_is_loaded_twice(monkeypatch):
    """Reading a tokenizer takes longer than most tests that need one."""
    monkeypatch.setattr(saving, "load", load_once)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Calls the command line in this process; gives back exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["kft", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Two classes that differ in their colour, 10 images each."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (folder / name).mkdir()
        for index in range(10):
            pixels = random.integers(0, 60, (16, 16, 3), dtype="uint8")
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def image_run(photos, tmp_path_factory):
    """A run on the photos."""
    directory = tmp_path_factory.mktemp("runs") / "images"
    recipe = TinyRecipe(num_classes=2)
    recipe.fit(photos, run_dir=directory, batch_size=4, report=False, verbose=0)
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
