"""Forgetting is measured on the features of another task, before and after a fit."""

import re

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import kft
from kft.cli import app
from kft.family.features import head_inputs
from kft.insight.forgetting import _neighbours, forgetting
from recipes import BertRecipe
from tests.recipes import tiny_bert
from tests.small_images import TinyRecipe, bright_sides

STAGES = [kft.Stage("all", epochs=1, learning_rate=1e-3)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("forgetting") / "run"
    settings = {"stages": STAGES, "batch_size": 16, "run_dir": directory, "verbose": 0}
    return TinyRecipe(num_classes=2).fit(bright_sides(), **settings)


def quarters():
    x, y = bright_sides(64, classes=4, seed=1)
    return x, np.array(["north", "east", "south", "west"])[y]


def test_what_did_not_change_is_not_forgotten():
    found = forgetting(TinyRecipe(num_classes=2), quarters())
    assert found.probe[0] == found.probe[1]
    assert found.neighbours[0] == found.neighbours[1] > found.chance == 0.25
    assert found.similarity == pytest.approx(1.0)
    assert (found.examples, found.classes) == (64, 4)


def test_a_backbone_that_was_wrecked_has_forgotten():
    recipe = TinyRecipe(num_classes=2)
    recipe.model.get_layer("block3_conv").kernel.assign(np.zeros((3, 3, 8, 8)))
    found = forgetting(recipe, quarters())
    assert found.probe[1] < found.probe[0]
    assert found.neighbours[1] < found.neighbours[0]
    assert found.similarity < 0.1
    assert f"{found.probe[0]:.3f} before, {found.probe[1]:.3f} after" in str(found)


def test_measuring_leaves_the_recipe_as_it_is(run):
    recipe = run.recipe
    before = [np.array(keras.ops.convert_to_numpy(w)) for w in recipe.model.weights]
    state = recipe.state()
    forgetting(recipe, quarters())
    for one, other in zip(before, recipe.model.weights, strict=True):
        np.testing.assert_array_equal(one, keras.ops.convert_to_numpy(other))
    assert recipe.state() == state
    assert recipe.classes == ("0", "1")


def test_what_the_head_gets_is_what_the_features_are_pooled_to():
    recipe = TinyRecipe(num_classes=2, hidden=(4,))
    x, y = bright_sides(6)
    found, labels = head_inputs(recipe, recipe.read((x, y)), batch_size=4)
    pooled = keras.Model(recipe.model.input, recipe.model.get_layer("head_pool").output)
    np.testing.assert_allclose(found, pooled.predict(recipe.load(x), verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(labels, y)


def test_what_the_head_gets_of_texts_is_in_their_order(tmp_path):
    recipe = BertRecipe(tiny_bert.save_preset(tmp_path), num_classes=2)
    texts = ["bad", "a good plot", "was the film not very good", "a film"]
    examples = recipe.read((texts, [0, 1, 1, 0]))
    found, labels = head_inputs(recipe, examples, batch_size=2)
    np.testing.assert_array_equal(labels, [0, 1, 1, 0])
    for row, features in enumerate(found):
        alone, _ = head_inputs(recipe, examples.take([row]), batch_size=1)
        np.testing.assert_allclose(features, alone[0], rtol=1e-3, atol=1e-4)


@pytest.mark.once
def test_texts_are_measured_at_the_length_of_the_recipe(tmp_path):
    recipe = BertRecipe(tiny_bert.save_preset(tmp_path / "preset"), num_classes=2)
    texts = ["good film", "bad film", "a great plot", "the awful actor"] * 4
    recipe.learn(recipe.read((texts, ["a", "b"] * 8)))
    length = recipe.length
    found = forgetting(recipe, (texts, ["x", "y"] * 8))
    assert found.similarity == pytest.approx(1.0)
    assert recipe.length == length


@pytest.mark.once
def test_the_page_shows_before_and_after(run, tmp_path):
    page = run.report(
        tmp_path / "page.html", forgetting=forgetting(run.recipe, quarters())
    ).read_text()
    found = forgetting(run.recipe, quarters())
    section = page[page.index('<h2 id="forgetting">') :]
    shown = [
        float(v)
        for v in re.findall(r'<data value="([^"]+)"', section[: section.index("</section>")])
    ]
    for before, after in (found.probe, found.neighbours):
        assert [before, after, after - before] == [shown.pop(1) for _ in range(3)]
    assert shown[0] == found.similarity
    assert "Forgetting" not in (run.run_dir / "report.html").read_text()


@pytest.mark.once
def test_the_command_does_not_write_a_page_without_its_figures_over_one_with_them(run, tmp_path):
    refused = CliRunner().invoke(app, ["report", str(run.run_dir), "--source", str(tmp_path)])
    assert isinstance(refused.exception, kft.InputError)
    assert "without its figures" in str(refused.exception)


@pytest.mark.once
def test_source_data_of_one_class_or_a_stream_are_refused(run):
    x, _ = quarters()
    with pytest.raises(kft.InputError, match="a single class"):
        forgetting(run.recipe, run.recipe.read(bright_sides()).take(np.arange(0, 48, 2)))
    with pytest.raises(kft.InputError, match="only one example of 'a'"):
        forgetting(run.recipe, (x, ["a", *["b"] * 63]))
    import tensorflow as tf

    stream = tf.data.Dataset.from_tensor_slices((x, np.zeros(64, "int64"))).batch(8)
    with pytest.raises(kft.InputError, match="cannot be the source data"):
        forgetting(run.recipe, stream)


@pytest.mark.once
def test_no_example_is_a_neighbour_of_its_own():
    """Each of six equal examples has two neighbours of its class, and three of the other."""
    assert _neighbours(np.ones((6, 4)), np.array([0, 0, 0, 1, 1, 1])) == 0
