"""Recipes read, batch and save the data of several tasks."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kft
from kft.cli import build
from kft.data.kinds import SingleLabels
from kft.data.read import read
from kft.tasks import Classification, Regression, Several
from tests.small_images import DenseRecipe, small_images

X, Y = small_images(24)
LABELS = {"kind": np.array(["dark", "bright"])[Y], "age": Y * 2.0}
NUMBERS = {"kind": Y, "age": Y * 2.0}


def task():
    return Several({"kind": Classification(2), "age": Regression()})


def trained(recipe, batches):
    recipe.model.compile("adam", loss=recipe.loss(), metrics=recipe.metrics())
    return recipe.model.fit(batches, epochs=1, shuffle=False, verbose=0).history


def test_batches_of_examples_train_all_heads():
    recipe = DenseRecipe(task=task())
    examples = recipe.read((X, LABELS))
    recipe.name_classes(examples.classes, examples.source)
    assert recipe.classes == {"kind": ("bright", "dark"), "age": None}
    recipe.learn(examples)
    assert recipe.state()["age"]["target_offset"] == pytest.approx(1)
    augment = recipe.augmentation([keras.layers.RandomFlip("horizontal", dtype="float32")])
    history = trained(recipe, recipe.batches(examples, batch_size=8, augment=augment).for_fit())
    assert np.isfinite([history["kind_loss"][0], history["age_rmse"][0]]).all()


def test_a_stream_of_dicts_trains_all_heads():
    recipe = DenseRecipe(task=task())
    stream = recipe.read(tf.data.Dataset.from_tensor_slices((X, NUMBERS)).batch(8))
    recipe.name_classes(stream.classes, stream.source)
    assert recipe.classes == {"kind": ("0", "1"), "age": None}
    history = trained(recipe, recipe.from_stream(stream.dataset))
    assert np.isfinite([history["kind_loss"][0], history["age_rmse"][0]]).all()


@pytest.mark.once
def test_the_classes_of_each_task_are_saved(tmp_path):
    recipe = DenseRecipe(task=task(), classes={"kind": ["bright", "dark"]})
    loaded = kft.load(recipe.save(tmp_path / "run"), recipe=DenseRecipe)
    assert loaded.classes == {"kind": ("bright", "dark"), "age": None}
    assert loaded.task == recipe.task


@pytest.mark.once
def test_examples_that_were_read_without_the_recipe_are_taken_for_its_task():
    examples = read((X, LABELS["kind"]), task="single_label", modality="image")
    assert examples.task == SingleLabels()
    recipe = DenseRecipe(num_classes=2)
    assert recipe.read(examples).task is recipe.task
    with pytest.raises(kft.InputError, match=r"read for the task 'single_label', but this one is"):
        DenseRecipe(task="regression").read(examples)


TASK = task()


@dataclass(kw_only=True, eq=False)
class TwoHeads(DenseRecipe):
    """A recipe whose task sets the number of classes."""

    task: Any = TASK


@pytest.mark.once
def test_a_command_asks_the_data_for_the_classes_of_a_short_task_alone():
    assert build.needs_count_from_data(DenseRecipe, {})
    assert build.needs_count_from_data(DenseRecipe, {"task": "regression"})
    assert not build.needs_count_from_data(DenseRecipe, {"num_classes": 3})
    assert not build.needs_count_from_data(TwoHeads, {})
    assert build.sketch(TwoHeads, {}).task == task()
    assert build.sketch(DenseRecipe, {"classes": ["a", "b", "c"]}).num_classes == 3
