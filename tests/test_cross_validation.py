"""Cross-validation: each example is predicted once, by a model that was not trained on it."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

import kft
from kft.data.folds import ALWAYS_TRAINED, folds_of
from kft.errors import InputError
from kft.tasks import Regression
from tests.recipes import tiny_bert
from tests.small_images import DenseRecipe, small_images
from tests.tiny_recipe import TinyRecipe

pytestmark = pytest.mark.once

SOLVED = [kft.Stage(unfreeze=0, solve=True)]


def read(x, y, **settings):
    return DenseRecipe(num_classes=len(set(y))).read((x, y), **settings)


def test_every_example_is_held_out_once_and_classes_keep_their_share():
    x, y = small_images(31)
    fold = folds_of(read(x, y), 5)
    assert sorted(np.bincount(fold)) == [6, 6, 6, 6, 7]
    for number in range(5):
        assert np.bincount(y[fold == number]).min() >= 3
    np.testing.assert_array_equal(fold, folds_of(read(x, y), 5))
    assert not np.array_equal(fold, folds_of(read(x, y), 5, seed=1))


def test_copies_and_groups_stay_together_and_a_lone_class_is_trained_on():
    x, y = small_images(12)
    x[6:] = x[:6]
    fold = folds_of(read(x, y), 3)
    np.testing.assert_array_equal(fold[6:], fold[:6])
    x, y = small_images(24)
    groups = np.repeat(np.arange(8), 3)
    fold = folds_of(dataclasses.replace(read(x, y), groups=groups), 4)
    assert all(len(set(fold[groups == one])) == 1 for one in range(8))
    x, y = small_images(13)
    y[-1] = 2
    fold = folds_of(read(x, y), 3)
    assert fold[-1] == ALWAYS_TRAINED
    assert set(fold[:-1]) == {0, 1, 2}


class Spy(DenseRecipe):
    """A recipe that records the data on which each model is trained."""

    trained = []  # noqa: RUF012

    def fit(self, train, *args, **kwargs):
        self.trained.append(set(train.digests.tolist()))
        return super().fit(train, *args, **kwargs)


def test_no_model_answers_what_it_was_trained_on():
    x, y = small_images(40)
    Spy.trained.clear()
    found = kft.cross_validate(Spy(num_classes=2), (x, y), folds=4, stages=SOLVED, verbose=0)
    assert found.evaluation.figures["accuracy"] > 0.9
    assert len(found.folds) == len(Spy.trained) == 4
    np.testing.assert_array_equal(found.evaluation.examples, np.arange(40))
    every = set(read(x, y).digests.tolist())
    held = [every - one for one in Spy.trained]
    assert [len(one) for one in held] == [10] * 4
    assert set.union(*held) == every
    right = sum(float(value) * 10 for value in found.values)
    assert right == pytest.approx(found.evaluation.figures["accuracy"] * 40)


def test_labels_at_random_are_told_by_chance():
    """A model of 48 weights memorizes 40 random labels; held-out examples show that it learnt nothing."""
    x, _ = small_images(40)
    y = np.random.default_rng(5).permutation(np.arange(40) % 2)
    recipe = DenseRecipe(num_classes=2)
    found = kft.cross_validate(recipe, (x, y), stages=SOLVED, verbose=0)
    assert found.evaluation.figures["accuracy"] < 0.7
    assert not recipe.is_fitted


def test_the_same_call_loads_the_folds_that_are_finished(tmp_path):
    x, y = small_images(24)
    settings = {"folds": 3, "stages": SOLVED, "run_dir": tmp_path / "cross", "verbose": 0}
    first = kft.cross_validate(DenseRecipe(num_classes=2), (x, y), **settings)
    places = [tmp_path / "cross" / f"fold-{number}" / "history.json" for number in (1, 2, 3)]
    times = [place.stat().st_mtime_ns for place in places]
    again = kft.cross_validate(DenseRecipe(num_classes=2), (x, y), **settings)
    assert [place.stat().st_mtime_ns for place in places] == times
    assert again.to_dict() == first.to_dict()
    assert kft.load(tmp_path / "cross" / "fold-2", recipe=DenseRecipe).is_fitted


def test_numbers_and_texts_are_cross_validated_too(tmp_path):
    x, _ = small_images(30)
    numbers = x.mean(axis=(1, 2, 3))
    found = kft.cross_validate(
        DenseRecipe(task=Regression()), (x, numbers), folds=3, stages=SOLVED, verbose=0
    )
    assert found.evaluation.figures["r2"] > 0.5
    from recipes import BertRecipe

    preset = tiny_bert.save_preset(tmp_path / "bert")
    texts = [f"{'good' if n % 2 else 'awful'} {'film ' * (n % 5)}{n}" for n in range(24)]
    found = kft.cross_validate(
        BertRecipe(preset, num_classes=2),
        (texts, [n % 2 for n in range(24)]),
        folds=2,
        stages=SOLVED,
        optimizer=keras.optimizers.Adam(),
        verbose=0,
    )
    assert len(found.folds) == 2
    assert len(found.evaluation.examples) == 24


def test_bad_examples_are_skipped_as_in_a_fit(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "red" / "broken.png").write_bytes(b"no image")
    recipe = TinyRecipe(num_classes=2, image_size=(16, 16))
    settings = {"folds": 2, "stages": SOLVED, "verbose": 0}
    with pytest.raises(InputError, match=r"broken\.png"):
        kft.cross_validate(recipe, tmp_path / "photos", **settings)
    found = kft.cross_validate(recipe, tmp_path / "photos", on_bad_example="skip", **settings)
    assert len(found.evaluation) == len(recipe.read(photos))


def test_groups_may_have_values_of_several_types():
    x, y = small_images(12)
    groups = [1, "b", 2.5] * 4
    fold = folds_of(read(x, y, groups=groups), 3)
    assert {len({int(fold[n]) for n in range(12) if groups[n] == one}) for one in groups} == {1}
    assert len(set(fold.tolist())) == 3


def test_it_prints_each_fold_and_all_together():
    x, y = small_images(20)
    found = kft.cross_validate(
        DenseRecipe(num_classes=2), (x, y), folds=2, stages=SOLVED, verbose=0
    )
    assert str(found).startswith("accuracy in 2 folds: ")
    assert "standard deviation" in str(found)
    assert "20 examples" in str(found)
    assert found.to_dict()["figure"] == "accuracy"


def test_the_command_says_what_python_says(cli, photos, tmp_path):
    stages = tmp_path / "stages.yaml"
    stages.write_text("- {unfreeze: 0, solve: true}\n", encoding="utf-8")
    asked = ["tests.small_images:DenseRecipe", "--data", photos, "--stages", stages, "--folds", 2]
    code, out, errors = cli("cross-validate", *asked, "--seed", 3, "--json")
    assert code == 0, errors
    recipe = DenseRecipe(num_classes=2, seed=3)
    found = kft.cross_validate(recipe, str(photos), folds=2, stages=SOLVED, seed=3, verbose=0)
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    code, out, _ = cli("cross-validate", *asked, "--run-dir", tmp_path / "cross", "--quiet")
    assert code == 0
    assert out.startswith("accuracy in 2 folds: ")
    assert (tmp_path / "cross" / "fold-2" / "recipe.json").is_file()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folds": 1}, "`folds=1`"),
        (
            {"folds": 30},
            "12 different examples, groups or texts to hold out, too few for `folds=30`",
        ),
        ({"epochs": 3}, "`epochs=3` is not an argument of `fit`"),
        ({"callbacks": [keras.callbacks.Callback()]}, "carry over from one fold to the next"),
    ],
)
def test_arguments_are_checked_before_anything_is_trained(settings, said):
    with pytest.raises(InputError, match=said):
        kft.cross_validate(DenseRecipe(num_classes=2), small_images(12), verbose=0, **settings)


def test_what_has_seen_the_data_or_knows_times_is_refused():
    x, y = small_images(12)
    recipe = DenseRecipe(num_classes=2)
    recipe.fit((x, y), stages=SOLVED, verbose=0)
    with pytest.raises(InputError, match="has been fitted, on examples that would be held out"):
        kft.cross_validate(recipe, (x, y))
    timed = dataclasses.replace(read(x, y), order=np.arange(12.0))
    with pytest.raises(InputError, match="has times, and a fold of early examples"):
        kft.cross_validate(DenseRecipe(num_classes=2), timed)
