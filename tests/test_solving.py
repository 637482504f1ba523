"""The head that is solved: as good as a linear model at once, and the start of the stages."""

import dataclasses

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.family.features import head_inputs
from kft.tasks import Classification, MultiLabel, Regression, Several
from tests.tiny_recipe import TinyRecipe

SOLVED = kft.Stage(unfreeze=0, solve=True)
DEEP = kft.Stage(unfreeze="all", epochs=2, learning_rate=1e-3, warmup=0.5)


def pictures(count=60, seed=0):
    """Pictures of three kinds, which differ in their colour, and of a brightness."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(count) % 3
    brightness = rng.uniform(20, 80, count)
    x = rng.normal(brightness[:, None, None, None], 5, (count, 16, 16, 3))
    x[np.arange(count), :, :, kinds] += 150
    return np.clip(x, 0, 255).astype("float32"), kinds, brightness


def recipe_of(task, **arguments):
    return TinyRecipe(task=task, image_size=(16, 16), dropout=None, **arguments)


def test_the_solved_head_is_the_minimum_of_its_loss(tmp_path):
    x, kinds, _ = pictures()
    recipe = recipe_of(Classification(3))
    run = recipe.fit((x, kinds), stages=[SOLVED], cache_dir=tmp_path, verbose=0)
    assert run.history["val_accuracy"] == [1.0]
    assert run.history["stage"] == [1]
    features, labels = head_inputs(recipe, run.training)
    kernel, bias = recipe.model.get_layer("predictions").get_weights()
    outputs = features @ kernel + bias
    probabilities = np.exp(outputs - outputs.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    # Without a penalty on the bias, the classes are predicted as often as they occur.
    expected = np.bincount(labels.astype(int), minlength=3) / len(labels)
    np.testing.assert_allclose(probabilities.mean(0), expected, atol=1e-4)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("augment", [None, "light"])
def test_stages_go_on_from_the_solved_head(cache, augment):
    x, kinds, _ = pictures()
    alone, staged = recipe_of(Classification(3)), recipe_of(Classification(3))
    settings = {"cache": cache, "verbose": 0, "augment": augment}
    one = alone.fit((x, kinds), stages=[SOLVED], **settings)
    two = staged.fit((x, kinds), stages=[SOLVED, DEEP], **settings)
    assert two.history["stage"] == [1, 2, 2]
    np.testing.assert_allclose(two.history["val_loss"][0], one.history["val_loss"][0], rtol=1e-5)
    assert two.history["learning_rate"][0] == 0


def test_kept_features_and_computed_ones_solve_the_same_head():
    x, kinds, _ = pictures()
    heads = []
    for cache in (True, False):
        recipe = recipe_of(Classification(3))
        recipe.fit((x, kinds), stages=[SOLVED], cache=cache, verbose=0)
        heads.append(recipe.model.get_layer("predictions").get_weights())
    for kept, computed in zip(*heads, strict=True):
        np.testing.assert_allclose(kept, computed, rtol=1e-3, atol=1e-4)


def test_a_deeper_stage_that_is_worse_is_taken_back():
    x, kinds, _ = pictures()
    recipe = recipe_of(Classification(3))
    ruinous = dataclasses.replace(DEEP, learning_rate=10.0, warmup=0.0)
    run = recipe.fit(
        (x, kinds), stages=[SOLVED, ruinous], optimizer=keras.optimizers.SGD(), verbose=0
    )
    assert run.history["val_loss"][-1] > run.history["val_loss"][0]
    assert run.evaluation.figures["accuracy"] == 1.0
    assert run.journal["best"]["stage"] == 1


def test_every_task_with_a_linear_head_is_solved():
    x, kinds, brightness = pictures()
    labels = np.stack([kinds == 0, kinds != 1], axis=1).astype("float32")
    task = Several({"kind": Classification(3), "tags": MultiLabel(2), "light": Regression()})
    targets = {"kind": kinds, "tags": labels, "light": brightness}
    recipe = TinyRecipe(task=task, image_size=(16, 16))
    run = recipe.fit((x, targets), stages=[SOLVED], verbose=0)
    assert run.history["val_kind_accuracy"] == [1.0]
    assert run.history["val_tags_accuracy"] == [1.0]
    assert run.history["val_light_rmse"][0] < 0.85 * brightness.std()


def test_a_run_that_ended_after_the_solved_head_goes_on_to_the_same_weights(tmp_path):
    x, kinds, _ = pictures()

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    whole = recipe_of(Classification(3))
    whole.fit((x, kinds), stages=[SOLVED, DEEP], run_dir=tmp_path / "whole", verbose=0)
    for callbacks in ([Stop()], []):
        resumed = recipe_of(Classification(3))
        arguments = {"stages": [SOLVED, DEEP], "run_dir": tmp_path / "run", "verbose": 0}
        try:
            run = resumed.fit(
                (x, kinds), callbacks=callbacks, checkpoint_every="epoch", **arguments
            )
        except KeyboardInterrupt:
            continue
    assert run.history["stage"] == [1, 2, 2]
    for ours, theirs in zip(resumed.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.once
def test_a_head_that_is_not_linear_is_not_solved():
    x, kinds, _ = pictures()
    recipe = recipe_of(Classification(3, hidden=(4,)))
    with pytest.raises(InputError, match=r"not linear in its features.*kft\.Stage"):
        recipe.fit((x, kinds), stages=[SOLVED], verbose=0)


@pytest.mark.once
def test_only_a_recipe_solves():
    model = TinyRecipe(num_classes=3, image_size=(16, 16)).model
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, kinds, _ = pictures()
    with pytest.raises(InputError, match="only a recipe's task"):
        kft.fit_in_stages(model, x, kinds, stages=[SOLVED, DEEP], verbose=0)
    with pytest.raises(InputError, match="only a recipe's task"):
        model.fit(x, kinds, callbacks=[kft.callbacks.StagedUnfreezing([SOLVED])], verbose=0)


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"unfreeze": 1}, "unfreeze"),
        ({"epochs": 2}, "epochs"),
        ({"learning_rate": 0.1}, "learning_rate"),
        ({"warmup": 0.1}, "warmup"),
        ({"decay": "linear"}, "decay"),
        ({"layer_decay": 0.5}, "layer_decay"),
        ({"solve": 1}, "solve"),
    ],
)
def test_a_stage_that_solves_takes_no_steps(arguments, word):
    with pytest.raises(InputError, match=f"`{word}="):
        kft.Stage(**{"unfreeze": 0, "solve": True, **arguments})


@pytest.mark.once
def test_a_stage_that_solves_is_the_first(tmp_path):
    path = tmp_path / "stages.yaml"
    path.write_text(
        "- unfreeze: 0\n  solve: true\n- unfreeze: all\n  epochs: 1\n  learning_rate: 0.1\n"
    )
    stages = kft.stages.stage.read_stages(path)
    assert stages[0] == SOLVED
    kft.stages.stage.write_stages(path, stages)
    assert kft.stages.stage.read_stages(path) == stages
    with pytest.raises(InputError, match=r"Stage 2 has `solve=True`.*make it the first"):
        TinyRecipe(num_classes=3).fit(pictures()[:2], stages=[DEEP, SOLVED])
