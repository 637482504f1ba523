"""Users' own random numbers are the same with and without kft."""

import random

import numpy as np
import pytest

import kft
from kft.cli.demo.reviews import save_small_bert
from kft.testing.families import TinyImages, save_tiny_bert, tiny_images

DATA = (tiny_images(12), ["a", "b"] * 6)
STAGES = [kft.Stage(0, 1, 1e-3)]


def build(folder):
    return TinyImages(num_classes=2).model


def fit(folder):
    finish = kft.Finish(report=False)
    TinyImages(num_classes=2).fit(DATA, DATA, stages=STAGES, verbose=0, finish=finish)


def save_and_load(folder):
    TinyImages(num_classes=2).save(folder / "run")
    return kft.load(folder / "run", recipe=TinyImages)


def search(folder):
    settings = {"space": lambda hp: hp.Float("head_lr", 1e-3, 1e-2), "max_trials": 2, "verbose": 0}
    TinyImages(num_classes=2).tune(DATA, DATA, run_dir=folder / "run", stages=STAGES, **settings)


def save_presets(folder):
    save_tiny_bert(folder / "tiny")
    save_small_bert(folder / "small")


@pytest.mark.parametrize("call", [build, fit, save_and_load, search, save_presets])
def test_the_callers_numbers_go_on(call, tmp_path):
    """A second split drawn after building a recipe must differ from the first."""

    def drawn(between):
        random.seed(7)
        np.random.seed(7)
        between()
        return random.random(), np.random.random()

    assert drawn(lambda: call(tmp_path)) == drawn(lambda: None)


def test_weights_depend_on_the_recipes_seed_alone():
    made = []
    for outside in (1, 2):
        random.seed(outside)
        np.random.seed(outside)
        made.append(TinyImages(num_classes=2, seed=5).model.get_weights())
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)
