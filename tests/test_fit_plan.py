"""The plan of a fit on some data is the one that the fit prints, and nothing is trained or written."""

import dataclasses

import numpy as np
import pytest

import kft
from tests.small_images import DenseRecipe, small_images

STAGES = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1e-3)]


def lines(text):
    """Return the lines of a plan, without those that depend on the speed of the machine."""
    return [line for line in text.splitlines() if not line.startswith("Frozen features")]


def test_it_is_the_plan_of_the_fit(capsys, tmp_path):
    recipe = DenseRecipe(num_classes=2)
    settings = {"stages": STAGES, "batch_size": 8, "validation_data": small_images(10, seed=1)}
    plan = kft.plan_fit(recipe, small_images(20), run_dir=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
    assert (recipe.classes, recipe.is_fitted, recipe._model) == (None, False, None)
    assert "20 examples to train on, 10 to validate on." in str(plan)
    recipe.fit(
        small_images(20), finish=kft.Finish(report=False), cache="auto", verbose=2, **settings
    )
    printed = capsys.readouterr().out
    for line in lines(str(plan)):
        assert line in printed


def test_the_data_decide_the_default_stages():
    few, many = (str(kft.plan_fit(DenseRecipe(num_classes=2), small_images(n))) for n in (20, 400))
    assert "16 examples to train on, 4 to validate on." in few
    assert "Classes to train on: 0 (8), 1 (8)." in few
    assert "320 examples to train on, 80 to validate on." in many
    assert "Batches of 8 examples" in few
    assert "Batches of 8 examples" not in many


@pytest.mark.once
def test_it_says_of_which_classes_the_examples_are():
    x, _ = small_images(30)
    names = [f"class {n % 15}" for n in range(30)]
    names[0] = "class 14"
    plan = kft.plan_fit(DenseRecipe(num_classes=15), (x, names), validation_data=(x, names))
    said = " ".join(str(plan).split())
    assert "15 classes to train on, the rarest class 0 (1), the most frequent class 14 (3)." in said
    numbers = DenseRecipe(num_classes=1, task="regression")
    assert "classes to train on" not in str(
        kft.plan_fit(numbers, (x, np.arange(30.0)), stages=STAGES)
    )


@pytest.mark.once
def test_it_says_which_weights_are_kept_and_what_follows():
    recipe = DenseRecipe(num_classes=2)

    def planned(count, recipe=recipe, **settings):
        return " ".join(str(kft.plan_fit(recipe, small_images(count), **settings)).split())

    few, some, many = (planned(count) for count in (20, 100, 1200))
    again = "calibrated on the validation data and the model is trained again on all examples."
    assert (
        "The best of the stages' ends is kept, by val_loss; a later stage is kept only if " in few
    )
    assert again in few
    assert again in some
    assert "The last stage ends 50% of the way from its first to its last weights." in some
    assert "by val_calibrated_loss; a later stage is kept if it is at most 22% worse." in some
    assert "The best epoch of all stages is kept, by val_accuracy. Then the probabilities" in many
    assert "trained again" not in many
    own = planned(20, stages=STAGES, restore_best=None)
    assert "The weights of the last epoch are kept." in own
    assert "Then" not in own
    line = kft.BestEpoch("stage", monitor="val_accuracy", interpolate=True)
    own = planned(20, stages=STAGES, restore_best=line)
    assert "three quarters of the last stage's way are tried as well." in own
    assert "The best epoch of the last stage is kept, by val_accuracy." in own
    numbers = planned(20, DenseRecipe(task="regression"))
    assert "probabilities" not in numbers
    assert "Then the model is trained again" in numbers


@pytest.mark.once
def test_what_fit_refuses_is_refused(tmp_path):
    recipe = DenseRecipe(num_classes=2)
    with pytest.raises(kft.InputError, match="`epochs=3` is not an argument of `fit`"):
        kft.plan_fit(recipe, small_images(20), epochs=3)
    with pytest.raises(kft.InputError, match="`validation_data=2`"):
        kft.plan_fit(recipe, small_images(20), validation_data=2)
    with pytest.raises(kft.InputError, match="no such file or folder"):
        kft.plan_fit(recipe, "./gone")
    settings = {"stages": STAGES[:1], "run_dir": tmp_path / "run", "verbose": 0}
    dataclasses.replace(recipe).fit(small_images(20), **settings)
    with pytest.raises(kft.InputError, match="another plan"):
        kft.plan_fit(recipe, small_images(20), **{**settings, "stages": STAGES})


@pytest.mark.once
def test_the_command_prints_it_and_writes_nothing(cli, photos, tmp_path):
    command = [
        "fit",
        "tests.small_images:DenseRecipe",
        "--data",
        photos,
        "--run-dir",
        tmp_path / "run",
    ]
    code, out, err = cli(*command, "--dry-run", "--seed", "3")
    assert code == 0, err
    assert "Plan for DenseRecipe" in out
    assert "16 examples to train on, 4 to validate on." in out
    assert not (tmp_path / "run").exists()
