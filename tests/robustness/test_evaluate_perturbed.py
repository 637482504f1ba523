"""`evaluate(perturb=...)`: figures by kind and severity, the same each time."""

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.insight.robustness.attack import Attack
from kft.testing import families
from recipes import BertRecipe
from tests.recipes import tiny_bert
from tests.small_images import TinyRecipe, bright_sides


@pytest.fixture(scope="module")
def fitted():
    keras.utils.set_random_seed(0)
    recipe = TinyRecipe(num_classes=2, dropout=0.0)
    stages = [kft.Stage("all", epochs=8, learning_rate=1e-2)]
    settings = {"batch_norm": "train", "early_stopping": None, "batch_size": 16, "verbose": 0}
    data = bright_sides(64)
    assert recipe.fit(data, data, stages=stages, **settings).evaluation.accuracy > 0.95
    return recipe


@pytest.fixture(scope="module")
def found(fitted):
    return fitted.evaluate(bright_sides(40, seed=1), perturb="standard", batch_size=16)


def test_every_kind_has_five_severities_beside_the_clean_figures(fitted, found):
    assert found.clean.accuracy == fitted.evaluate(bright_sides(40, seed=1)).accuracy
    assert len(found.perturbed) == 9
    assert all(len(each) == 5 for each in found.values.values())
    assert found.figure == "accuracy"
    assert 0 < found.mean < found.clean.accuracy
    assert min(map(min, found.values.values())) < found.clean.accuracy
    figures = found.to_dict()
    assert figures["perturbed"]["jpeg"] == [one.accuracy for one in found.perturbed["jpeg"]]


@pytest.mark.once
def test_targets_that_are_collated_are_scored_as_in_an_evaluation():
    images = families.tiny_images(8)
    data = (images, (images.mean(axis=-1) > 128).astype(int))
    recipe = families.TinyImages(task=kft.tasks.Segmentation(("dark", "bright"), channels=8))
    recipe.fit(data, data, stages=[kft.Stage(0, 1, 1e-2)], verbose=0)
    found = recipe.evaluate(data, perturb=["contrast"])
    assert found.clean.figures == recipe.evaluate(data).figures


def test_it_prints_and_draws(found):
    assert "gaussian noise" in str(found)
    assert f"{found.mean:.4f}" in str(found).splitlines()[-2]
    assert found._repr_html_().count("<tr>") == 11
    axes = found.plot().axes[0]
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    assert len(lines) == 9
    np.testing.assert_allclose(lines[0].get_ydata()[1:], found.values["gaussian_noise"])
    assert lines[0].get_ydata()[0] == found.clean.accuracy


def test_the_figures_do_not_hang_on_the_batch_size(fitted, found):
    names = ["gaussian_noise", "contrast"]
    again = fitted.evaluate(bright_sides(40, seed=1), perturb=names, batch_size=40)
    assert again.values == {name: found.values[name] for name in names}


def test_fgsm_raises_the_loss_where_random_signs_do_not(fitted):
    x, y = bright_sides(32, seed=2)
    worse = Attack(fitted)(x, y)(5)
    assert np.abs(worse - x).max() == pytest.approx(8, abs=1e-3)
    signs = np.random.default_rng(0).choice([-8, 8], x.shape)

    def loss(images):
        scores = fitted.model.predict_on_batch(images.astype("float32"))
        return -np.log(np.maximum(scores[np.arange(32), y], 1e-9)).mean()

    by_chance = abs(loss(np.clip(x + signs, 0, 255)) - loss(x))
    assert loss(worse) - loss(x) > 3 * by_chance


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A tiny BERT, two kinds of texts, and what is left of it on worse ones."""
    folder = tmp_path_factory.mktemp("bert")
    recipe = BertRecipe(tiny_bert.save_preset(folder / "preset"), num_classes=2, sequence_length=8)
    data = (["the film was good", "the plot was bad"] * 6, np.arange(12) % 2)
    return recipe, data, recipe.evaluate(data, perturb="standard")


def test_texts_get_typos_capitals_gaps_and_other_embeddings(texts):
    *_, found = texts
    assert list(found.perturbed) == ["typos", "casing", "missing_words", "fgsm"]
    casing = [one.scores for one in found.perturbed["casing"]]
    np.testing.assert_allclose(casing[4], found.clean.scores, rtol=1e-4)  # it is an uncased model
    assert not np.allclose(found.perturbed["typos"][4].scores, found.clean.scores)


def test_fgsm_on_embeddings_raises_the_loss_with_the_severity(texts):
    _, (_, y), found = texts
    evaluations = (found.clean, *found.perturbed["fgsm"])
    losses = [-np.log(one.scores[np.arange(12), y]).mean() for one in evaluations]
    assert losses == sorted(losses)
    assert losses[-1] > 1.2 * losses[0]


@pytest.mark.once
def test_fgsm_on_embeddings_does_not_hang_on_the_batch_size(texts):
    recipe, data, found = texts
    again = recipe.evaluate(data, perturb="fgsm", batch_size=5)
    for one, other in zip(found.perturbed["fgsm"], again.perturbed["fgsm"], strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-3)


def test_mistakes_are_named(fitted):
    import tensorflow as tf

    data = bright_sides(8)
    with pytest.raises(InputError, match="'typos' does not fit TinyRecipe: pass 'standard', or"):
        fitted.evaluate(data, perturb="typos")
    with pytest.raises(InputError, match="nothing does not fit"):
        fitted.evaluate(data, perturb=[])
    with pytest.raises(InputError, match="cannot be perturbed"):
        fitted.evaluate(tf.data.Dataset.from_tensor_slices(data).batch(4), perturb="standard")
