"""A trained recipe that learns another class and retains the known ones."""

import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.testing.families import TinyTexts, save_tiny_bert, tiny_texts
from tests.family.test_solving import pictures, recipe_of
from tests.tiny_recipe import TinyRecipe

X, KINDS, BRIGHTNESS = pictures(60)
OLD = KINDS < 2


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Return a recipe that distinguishes two kinds, and its directory."""
    recipe = recipe_of(kft.tasks.Classification(2))
    directory = tmp_path_factory.mktemp("known") / "run"
    recipe.fit(
        (X[OLD], KINDS[OLD]), run_dir=directory, stages=[kft.Stage(0, solve=True)], verbose=0
    )
    return recipe, directory


def test_the_known_classes_keep_their_scores_and_a_new_one_is_learnt(known):
    recipe, directory = known
    wider = kft.load(directory, recipe=TinyRecipe, more_classes="blue")
    assert tuple(wider.classes) == ("0", "1", "blue")
    assert str(directory) in str(wider.starting_weights)
    before, after = (one.predict(X[OLD]).scores for one in (recipe, wider))
    np.testing.assert_allclose(after[:, :2] / after[:, :2].sum(1, keepdims=True), before, atol=1e-5)
    labels = np.array([*wider.classes], object)[KINDS]
    wider.fit((X, labels), stages=[kft.Stage(0, solve=True)], verbose=0)
    assert wider.evaluate((X, labels)).accuracy > 0.95


@pytest.mark.once
def test_a_backbone_that_learnt_begins_as_it_was_trained(known, tmp_path):
    recipe, _ = known
    for weight in recipe.model.weights:
        weight.assign(weight + 0.25)
    wider = kft.load(recipe.save(tmp_path / "moved"), recipe=TinyRecipe, more_classes=["2", "3"])
    *same, kernel, bias = zip(wider.model.weights, recipe.model.weights, strict=True)
    assert all(np.array_equal(np.array(one), np.array(other)) for one, other in same)
    assert kernel[0].shape[-1] == bias[0].shape[-1] == 4


@pytest.mark.once
@pytest.mark.parametrize(
    ("names", "what"),
    [
        ([], "pass the names of the new classes"),
        (3, "pass the names of the new classes"),
        (["0"], "0"),
        (["x", "x"], "x"),
        ([None], "None"),
    ],
)
def test_classes_that_cannot_be_added_are_named(known, names, what):
    with pytest.raises(InputError, match=rf"`more_classes.*{what}"):
        kft.load(known[1], recipe=TinyRecipe, more_classes=names)


@pytest.mark.once
def test_a_task_without_classes_takes_none(tmp_path):
    recipe = recipe_of(kft.tasks.Regression(1))
    recipe.learn(recipe.read((X, BRIGHTNESS)))
    directory = recipe.save(tmp_path / "run")
    with pytest.raises(InputError, match="'regression' has no named classes"):
        kft.load(directory, recipe=TinyRecipe, more_classes=["x"])


@pytest.mark.once
def test_what_a_recipe_learnt_of_its_data_is_kept(tmp_path):
    preset = save_tiny_bert(tmp_path / "preset")
    texts = tiny_texts(24)
    recipe = TinyTexts(preset, num_classes=2)
    recipe.fit((texts, ["a", "b"] * 12), stages=[kft.Stage(0, solve=True)], verbose=0)
    saved = recipe.save(tmp_path / "saved")
    wider = kft.load(saved, recipe=TinyTexts, more_classes="c")
    assert recipe.length < recipe.longest
    assert wider.length == recipe.length
