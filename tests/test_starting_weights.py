"""The starting weights of a fit are announced before it begins, without loading any."""

import numpy as np
import pytest

import kft
from kft.family.reopening import reopen, report_again
from kft.model.pretrained import RANDOM
from recipes import BertRecipe, MobileNetRecipe
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

DATA = (np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), "uint8"), np.arange(12) % 2)
BRIEF = {
    "stages": [kft.Stage(0, epochs=1, learning_rate=0.01)],
    "cache": False,
    "finish": kft.Finish(report=False),
}


def test_a_family_says_where_its_pretrained_weights_come_from(tmp_path):
    file = tmp_path / "mobilenet.weights.h5"
    file.touch()
    assert str(MobileNetRecipe(num_classes=2).starting_weights) == "ImageNet"
    assert str(MobileNetRecipe(num_classes=2, weights=file).starting_weights) == f"the file {file}"
    assert MobileNetRecipe(num_classes=2, weights=None).starting_weights == RANDOM
    assert str(BertRecipe("bert_tiny", num_classes=2).starting_weights) == "the preset bert_tiny"
    assert BertRecipe("bert_tiny", num_classes=2, weights=None).starting_weights == RANDOM
    assert not RANDOM.pretrained


def test_a_recipe_that_was_fitted_or_loaded_says_so(tmp_path):
    recipe = TinyRecipe(num_classes=2)
    recipe.fit(DATA, run_dir=tmp_path / "run", verbose=0, **BRIEF)
    assert str(recipe.starting_weights) == "those of the previous fit"
    loaded = kft.load(tmp_path / "run", recipe=TinyRecipe)
    assert str(loaded.starting_weights) == f"the run {tmp_path / 'run'}"
    loaded.fit(DATA, verbose=0, **BRIEF)
    assert str(loaded.starting_weights) == "those of the previous fit"


def test_the_plan_that_fit_prints_and_its_page_say_it(capsys):
    run = TinyRecipe(num_classes=2).fit(DATA, **BRIEF)
    said = "Weights: random, nothing is pretrained"
    assert capsys.readouterr().out.splitlines()[1] == said
    assert said in run.stages_table


def test_a_page_that_is_written_later_says_it_too(tmp_path):
    folder = tmp_path / "run"
    TinyRecipe(num_classes=2).fit(DATA, run_dir=folder, verbose=0, **BRIEF)
    again = report_again(reopen(folder, recipe=TinyRecipe), tmp_path / "again.html")
    assert "Weights: random, nothing is pretrained" in again.read_text()


def test_a_recipe_of_ones_own_that_says_nothing_claims_nothing():
    class OwnRecipe(kft.Recipe):
        modality = "image"

    assert OwnRecipe(num_classes=2).starting_weights.pretrained
    assert "OwnRecipe builds" in str(OwnRecipe(num_classes=2).starting_weights)
