"""Predictions and evaluations averaged over augmented views of the inputs."""

import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.tasks import Regression, Segmentation
from kft.testing.families import TinyTexts, save_tiny_bert
from tests.small_images import DenseRecipe, small_images

SOLVED = [kft.Stage(0, solve=True)]


class Shifting(DenseRecipe):
    """A recipe whose views are brighter than the image, by a number that depends on the seed alone."""

    def augmentation(self, chosen):
        return lambda x, y, seed: (x + np.float32(10 * seed[1] + seed[2]), y)


@pytest.fixture(scope="module")
def fitted():
    recipe = Shifting(num_classes=2)
    recipe.fit(small_images(24), stages=SOLVED, verbose=0, finish=kft.Finish(report=False))
    return recipe


def scores_of(recipe, x, **settings):
    return recipe.predict(x, **settings).scores


def test_an_answer_is_the_mean_over_all_views(fitted):
    x = small_images(5, seed=1)[0].astype("float32")
    views = [scores_of(fitted, x + shift) for shift in (0, 10, 20)]
    found = scores_of(fitted, x, views=3)
    np.testing.assert_allclose(found, np.mean(views, axis=0), atol=1e-5)
    assert np.abs(found - views[0]).max() > 1e-3
    np.testing.assert_array_equal(found, scores_of(fitted, x, views=3))
    # A second batch has views of its own.
    parts = scores_of(fitted, x, views=2, batch_size=4)
    np.testing.assert_allclose(parts[:4], (views[0] + views[1])[:4] / 2, atol=1e-5)
    second = (views[0] + scores_of(fitted, x + 11))[4:] / 2
    np.testing.assert_allclose(parts[4:], second, atol=1e-5)


def test_an_evaluation_scores_these_answers(fitted):
    x, y = small_images(12, seed=1)
    found = fitted.evaluate((x, y), views=3)
    np.testing.assert_allclose(found.scores, scores_of(fitted, x, views=3), atol=1e-5)
    assert np.abs(found.scores - fitted.evaluate((x, y)).scores).max() > 1e-3


@pytest.mark.once
def test_the_usual_augmentation_is_used(monkeypatch):
    recipe = DenseRecipe(task=Regression())
    x = small_images(20)[0]
    recipe.fit((x, x.mean(axis=(1, 2, 3))), stages=SOLVED, verbose=0)
    chosen, made = [], recipe.augmentation
    monkeypatch.setattr(recipe, "augmentation", lambda one: chosen.append(one) or made(one))
    plain, averaged = (recipe.predict(x, views=views) for views in (1, 4))
    assert chosen == ["light"]
    assert plain.labels != averaged.labels


@pytest.mark.once
def test_the_commands_average_over_views(cli, tmp_path, photos):
    run = tmp_path / "run"
    recipe = DenseRecipe(num_classes=2)
    recipe.fit(photos, run_dir=run, stages=SOLVED, verbose=0)
    named = ("--recipe", "tests.small_images:DenseRecipe")
    tables = [tmp_path / f"{views}.csv" for views in (1, 4)]
    for views, table in zip((1, 4), tables, strict=True):
        code, _, err = cli("predict", run, photos, *named, "--views", views, "--output", table)
        assert code == 0, err
    assert tables[0].read_text() != tables[1].read_text()
    code, out, err = cli("evaluate", run, "--data", photos, *named, "--views", "4")
    assert code == 0, err
    assert "accuracy" in out


@pytest.mark.once
def test_views_that_cannot_be_made_are_refused(fitted, tmp_path):
    x, y = small_images(4)
    with pytest.raises(InputError, match="`views=0`"):
        fitted.predict(x, views=0)
    with pytest.raises(InputError, match=r"`coverage=0.9` rests on errors of answers to a single"):
        fitted.predict(x, coverage=0.9, views=2)
    with pytest.raises(InputError, match="`perturb` is for a single view"):
        fitted.evaluate((x, y), perturb="jpeg", views=2)
    texts = TinyTexts(save_tiny_bert(tmp_path / "preset"), num_classes=2)
    with pytest.raises(InputError, match="TinyTexts has no augmentation that is usual"):
        texts.predict(["good film"], views=2)
    masks = DenseRecipe(task=Segmentation(("sky", "road")))
    with pytest.raises(InputError, match="'segmentation' depend on places"):
        masks.predict(x, views=2)
