"""The solved head: as good as a linear model at once, and the start of the later stages."""

import dataclasses
import types

import keras
import numpy as np
import pytest

import kft
from kft.errors import InputError
from kft.family.features import head_inputs
from kft.family.usual import usual_end
from kft.report.training import tolerated
from kft.stages.lengths import batch_size_for, deep_stage
from kft.tasks import Classification, MultiLabel, Regression, Several
from recipes import BertRecipe, MobileNetRecipe
from tests.recipes import tiny_bert
from tests.tiny_recipe import TinyRecipe

SOLVED = kft.Stage(unfreeze=0, solve=True)
DEEP = kft.Stage(unfreeze="all", epochs=2, learning_rate=1e-3, warmup=0.5)


def pictures(count=60, seed=0):
    """Return images of three kinds, which differ in colour, and their brightness."""
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
    run = recipe.fit((x, kinds), stages=[SOLVED], cache=kft.Cache(directory=tmp_path), verbose=0)
    assert run.history["val_accuracy"] == [1.0]
    assert run.history["stage"] == [1]
    features, labels = head_inputs(recipe, run.training)
    kernel, bias = recipe.model.get_layer("predictions").get_weights()
    outputs = features @ kernel + bias
    probabilities = np.exp(outputs - outputs.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    # Without a penalty on the bias, the mean scores are the frequencies of the classes.
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


def test_texts_that_are_not_kept_are_solved_with_their_own_labels(tmp_path):
    words = ["film", "plot", "actor", "the", "a", "was"]
    texts = [" ".join([("good", "bad")[i % 2], *words[: i % 7]]) for i in range(28)]
    heads = []
    for cache in (True, False):
        recipe = BertRecipe(tiny_bert.save_preset(tmp_path / f"{cache}"), num_classes=2)
        recipe.fit((texts, [i % 2 for i in range(28)]), stages=[SOLVED], cache=cache, verbose=0)
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
                (x, kinds), callbacks=callbacks, resume=kft.Resume(every="epoch"), **arguments
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


@pytest.mark.once
def test_the_soft_head_has_three_quarters_of_the_loss_of_a_constant():
    from kft.tasks.linear import Softmax, solve

    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    features = rng.normal(size=(60, 100)) + 2 * np.eye(100)[labels]
    found = solve(features, labels, 3, Softmax())
    one_hot = np.eye(3)[labels]
    constant = -(np.bincount(labels) / 60 * np.log(np.bincount(labels) / 60)).sum()
    outputs = features @ found.kernel + found.bias
    assert Softmax()(outputs, one_hot)[0].mean() < 0.5 * constant
    soft = features @ found.soft_kernel + found.soft_bias
    np.testing.assert_allclose(Softmax()(soft, one_hot)[0].mean(), 0.75 * constant, rtol=1e-5)


def separable(size, each=4):
    """Return examples of three classes that are solved better the weaker the penalty is."""
    labels = np.repeat([0, 1, 2], each)
    features = np.random.default_rng(0).normal(size=(3 * each, size))
    return features + 10 * np.eye(size)[labels], labels


def usual_strength(features):
    """Return a hundredth of the total variance of the features, scaled as for solving."""
    deviations = features.std(axis=0)
    largest = np.sqrt(np.mean(deviations**2))
    return float((np.minimum(deviations / largest, 1) ** 2).sum()) / 100


@pytest.mark.once
@pytest.mark.parametrize("loss", ["Softmax", "Sigmoid"])
def test_few_examples_move_the_penalty_little_from_the_usual_one(loss):
    from kft.tasks import linear

    features, labels = separable(size=60)
    targets = labels if loss == "Softmax" else np.eye(3)[labels]
    usual = usual_strength(features)
    found = linear.solve(features, targets, 3, getattr(linear, loss)())
    assert usual / 10 < found.strength < usual


@pytest.mark.once
def test_one_example_of_each_class_has_the_usual_penalty():
    from kft.tasks.linear import Softmax, solve

    features, labels = separable(size=60, each=1)
    found = solve(features, labels, 3, Softmax())
    assert found.strength == pytest.approx(usual_strength(features))


@pytest.mark.once
def test_the_examples_alone_choose_the_penalty_if_they_outnumber_the_features():
    from kft.tasks.linear import Softmax, solve
    from kft.tasks.linear.solve import STRENGTHS

    features, labels = separable(size=12)
    assert solve(features, labels, 3, Softmax()).strength == STRENGTHS[-1]


@pytest.mark.once
def test_a_penalty_of_squared_errors_has_no_usual_strength():
    from kft.tasks.linear import Squares, solve

    features, labels = separable(size=60)
    found = solve(features, np.eye(3)[labels], 3, Squares())
    assert found.strength < usual_strength(features) / 10


@pytest.mark.once
def test_repeated_features_solve_the_same_head():
    from kft.tasks.linear import Softmax, solve

    features, labels = separable(size=60)
    one = solve(features, labels, 3, Softmax())
    ten = solve(np.tile(features, 10), labels, 3, Softmax())
    assert ten.strength == pytest.approx(10 * one.strength)
    np.testing.assert_allclose(ten.kernel[:60] * 10, one.kernel, atol=1e-3)


@pytest.mark.once
@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("size", [2, 200])
def test_any_number_of_examples_and_features_is_solved(count, size):
    from kft.tasks.linear import Sigmoid, Softmax, Squares, solve

    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, size)) * 10.0 ** rng.uniform(-30, 3, size)
    for loss, targets in (
        (Softmax(), np.arange(count) % 3),
        (Sigmoid(), rng.integers(0, 2, (count, 3))),
        (Squares(), rng.normal(size=(count, 3))),
    ):
        found = solve(features, targets, 3, loss)
        for values in (found.kernel, found.bias, found.soft_kernel, found.soft_bias):
            assert np.isfinite(values).all()
        again = solve(features, targets, 3, loss)
        np.testing.assert_array_equal(found.kernel, again.kernel)


@pytest.mark.once
def test_the_solved_head_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression, Ridge

    from kft.tasks.linear import Softmax, Squares, solve

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    for size in (5, 200):
        features = rng.normal(size=(90, size)) + 1.5 * np.eye(size)[labels]
        scale = features.std(axis=0)
        scale = np.maximum(scale, np.sqrt(np.mean(scale**2)))
        scaled = (features - features.mean(axis=0)) / scale
        found = solve(features, labels, 3, Softmax())
        theirs = LogisticRegression(C=1 / (90 * found.strength), tol=1e-8, max_iter=5000)
        theirs.fit(scaled, labels)
        outputs = features @ found.kernel + found.bias
        outputs -= outputs.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(outputs, theirs.decision_function(scaled), atol=2e-3)
        found = solve(features, labels, 1, Squares())
        ridge = Ridge(alpha=90 * found.strength).fit(scaled, labels)
        np.testing.assert_allclose(
            (features @ found.kernel + found.bias)[:, 0], ridge.predict(scaled), atol=2e-3
        )


def test_a_stage_after_the_solved_head_begins_softly():
    x, kinds, _ = pictures()
    recipe, begun = recipe_of(Classification(3)), []

    class Notes(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            kernel = self.model.get_layer("predictions").kernel
            begun.append(float(np.linalg.norm(keras.ops.convert_to_numpy(kernel))))

        def on_epoch_end(self, epoch, logs=None):
            kernel = self.model.get_layer("predictions").kernel
            self.solved = float(np.linalg.norm(keras.ops.convert_to_numpy(kernel)))
            self.on_epoch_end = lambda *_: None

    notes = Notes()
    recipe.fit((x, kinds), stages=[SOLVED, DEEP], callbacks=[notes], verbose=0)
    assert begun[1] < 0.7 * notes.solved


class PlainRecipe(TinyRecipe):
    """A recipe with the default stages of a family."""

    default_stages = kft.Recipe.default_stages


class TrustingRecipe(PlainRecipe):
    """A recipe of a family in which deeper stages usually help."""

    deeper_is_better = True


@pytest.mark.parametrize("family", [PlainRecipe, TrustingRecipe])
def test_a_bare_fit_solves_the_head_and_then_trains_everything(family):
    x, kinds, _ = pictures()
    recipe = family(num_classes=3, image_size=(16, 16))
    run = recipe.fit((x, kinds), batch_size=4, verbose=0)
    plan = recipe.origin["plan"]
    assert [stage.get("solve", False) for stage in plan["stages"]] == [True, False]
    assert run.history["stage"].count(2) == 42  # at 12 steps per epoch, 504 steps
    assert plan["restore_best"] == "ends"
    assert plan["early_stopping"] is None
    assert plan["monitor"] == ["val_loss", "min"]
    assert plan["augment"] is not None
    losses = run.history["val_loss"]
    head, deep = losses[0], losses[-1]
    allowed = plan["tolerance"] * head
    assert abs(allowed) == pytest.approx(head / 12**0.5)
    assert (allowed > 0) == (family is TrustingRecipe)
    assert run.journal["best"]["value"] == (deep if deep < head + allowed else head)
    assert recipe.evaluate(run.validation).figures["accuracy"] == run.evaluation.figures["accuracy"]


@pytest.mark.once
def test_encoders_of_texts_are_trusted_to_gain_by_depth_and_networks_for_images_are_not():
    assert BertRecipe.deeper_is_better
    assert not MobileNetRecipe.deeper_is_better


@pytest.mark.once
def test_few_images_keep_their_solved_head_unless_a_deeper_stage_wins_by_more_than_chance():
    recipe = PlainRecipe(num_classes=3, image_size=(16, 16))
    assert end_of(recipe, 4) == (False, -0.5)
    assert end_of(recipe, 4, interpolate=0.25) == (0.25, -0.5)
    trained = PlainRecipe(num_classes=3, image_size=(16, 16), hidden=(4,))
    assert end_of(trained, 4) == (False, 0)  # its head may be far from the best linear one
    assert end_of(TrustingRecipe(num_classes=3, image_size=(16, 16)), 4) == (False, 0.5)
    assert tolerated(-0.5) == "a later stage is kept only if it is more than 50% better"


@pytest.mark.once
def test_more_images_stop_halfway_from_their_solved_head():
    recipe = PlainRecipe(num_classes=3, image_size=(16, 16))
    assert [end_of(recipe, count) for count in (16, 100)] == [(0.5, 0.25), (0.5, 0.1)]
    assert end_of(recipe, 16, interpolate=False) == (False, 0)
    assert end_of(recipe, 16, interpolate=True) == (True, 0)
    assert end_of(recipe, 16, interpolate=0.25, tolerance=0.0) == (0.25, 0)
    assert end_of(recipe, 16, monitor="val_kappa") == (False, 0)  # perhaps of a callback
    trained = PlainRecipe(num_classes=3, image_size=(16, 16), hidden=(4,))
    assert end_of(trained, 16) == (False, 0)
    assert end_of(TrustingRecipe(num_classes=3, image_size=(16, 16)), 16) == (False, 0.25)


def end_of(recipe, examples, *, interpolate="auto", tolerance=None, monitor=None):
    given = types.SimpleNamespace(interpolate=interpolate, tolerance=tolerance, monitor=monitor)
    return tuple(usual_end(recipe, examples, given).values())


@pytest.mark.parametrize("family", [PlainRecipe, TrustingRecipe])
def test_a_bare_fit_on_more_images_ends_halfway(family):
    x, kinds, _ = pictures(100)
    recipe = family(num_classes=3, image_size=(16, 16))
    run = recipe.fit((x, kinds), batch_size=20, verbose=0, finish=kft.Finish(refit=False))
    plan, best = recipe.origin["plan"], run.journal["best"]
    count = len(run.validation)
    assert count >= 16
    assert plan["monitor"] == ["val_calibrated_loss", "min"]
    assert plan["tolerance"] == pytest.approx(count**-0.5)
    assert plan["interpolate"] == (0.5 if family is PlainRecipe else False)
    assert best.get("last_share") == (0.5 if family is PlainRecipe else None)
    assert best["value"] <= run.history["val_calibrated_loss"][0] * (1 + count**-0.5)
    assert ("share" in best) == (family is PlainRecipe and best["stage"] == 2)


class Short(TrustingRecipe):
    """A recipe whose deep stage has as many epochs as an epoch has steps."""

    def default_stages(self, steps=None):
        return [self.head_stage(steps), deep_stage(steps, 1e-4, most=steps or 1)]


@pytest.mark.once
def test_default_stages_whose_head_is_trained_take_all_of_their_epochs_too():
    x, kinds, _ = pictures(60)
    recipe = Short(num_classes=3, image_size=(16, 16), hidden=(4,))
    run = recipe.fit((x, kinds), verbose=0, finish=kft.Finish(report=False))
    plan = recipe.origin["plan"]
    assert (plan["batch_size"], plan["early_stopping"], plan["restore_best"]) == (8, None, "ends")
    assert [stage.get("solve", False) for stage in plan["stages"]] == [False, False]
    stages = run.history["stage"]
    taken = [stages.count(number) for number in dict.fromkeys(stages)]
    assert taken == [stage["epochs"] for stage in plan["stages"]] == [20, 6]


@pytest.mark.once
@pytest.mark.parametrize(("count", "judge"), [(15, "val_loss"), (16, "val_calibrated_loss")])
def test_enough_examples_compare_the_stages_as_if_their_scores_were_calibrated(count, judge):
    x, kinds, _ = pictures(60)
    recipe = Short(num_classes=3, image_size=(16, 16))
    run = recipe.fit((x, kinds), pictures(count, seed=1)[:2], verbose=0)
    assert recipe.origin["plan"]["monitor"] == [judge, "min"]
    assert run.journal["best"]["monitor"] == judge
    kept = run.journal["best"]["epoch"]
    assert run.history[judge][kept - 1] == run.journal["best"]["value"]


@pytest.mark.once
def test_the_page_names_what_few_examples_changed(tmp_path):
    x, kinds, _ = pictures(20)
    recipe = Short(num_classes=3, image_size=(16, 16))
    run = recipe.fit((x, kinds), run_dir=tmp_path / "run", verbose=0)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Batches of 8 examples, 3 steps per epoch: few examples need small batches." in page
    assert len(run.validation) == 3
    assert "A later stage is kept if it is at most 58% worse." in page


@pytest.mark.once
def test_few_examples_make_small_batches_unless_their_size_is_given(capsys):
    x, kinds, _ = pictures(30)

    def chosen(**given):
        recipe = Short(num_classes=3, image_size=(16, 16))
        recipe.fit((x, kinds), pictures(3)[:2], finish=kft.Finish(report=False), **given)
        plan, said = recipe.origin["plan"], capsys.readouterr().out
        return plan["batch_size"], plan["stages"][-1]["epochs"], "small batches" in said

    assert chosen() == (8, 4, True)
    assert chosen(batch_size=32) == (32, 1, False)
    assert chosen(stages=[SOLVED]) == (32, 1, False)


@pytest.mark.once
def test_an_epoch_has_ten_steps_as_long_as_a_step_has_eight_examples():
    sizes = {1: 8, 80: 8, 159: 8, 160: 16, 239: 16, 240: 24, 320: 32, 10**6: 32}
    assert {count: batch_size_for(count) for count in sizes} == sizes


@pytest.mark.once
def test_enough_validation_examples_tell_single_epochs_apart():
    x, kinds, _ = pictures(60)
    held_out = tuple(np.concatenate([rows] * 4) for rows in pictures(60, seed=1)[:2])
    recipe = PlainRecipe(num_classes=3, image_size=(16, 16))
    recipe.fit((x, kinds), held_out, batch_size=30, verbose=0, finish=kft.Finish(report=False))
    assert recipe.origin["plan"]["restore_best"] == "run"
    assert recipe.origin["plan"]["monitor"] == ["val_accuracy", "max"]


@pytest.mark.once
def test_a_bare_fit_of_a_stream_trains_the_head():
    import tensorflow as tf

    x, kinds, _ = pictures()
    stream = tf.data.Dataset.from_tensor_slices((x, kinds)).batch(20)
    recipe = PlainRecipe(num_classes=3, image_size=(16, 16))
    stages = recipe.default_stages()
    assert stages[0].solve
    settings = {
        "verbose": 0,
        "finish": kft.Finish(report=False),
        "early_stopping": keras.callbacks.EarlyStopping("val_loss", patience=0),
    }
    recipe.fit(stream, stream, **settings)
    assert "solve" not in recipe.origin["plan"]["stages"][0]
    assert recipe.origin["plan"]["augment"] is None


@pytest.mark.once
def test_labels_that_may_depend_on_places_are_not_augmented_by_default():
    x, kinds, _ = pictures()

    class Placed(Classification):
        augmentable = False

    recipe = PlainRecipe(task=Placed(3), image_size=(16, 16))
    recipe.fit((x, kinds), stages=None, verbose=0, finish=kft.Finish(report=False), batch_size=60)
    assert recipe.origin["plan"]["augment"] is None


@pytest.mark.once
@pytest.mark.parametrize(
    ("tolerance", "kept"),
    [(0.0, (0.7, 3)), (0.2, (0.7, 3)), (0.9, (0.1, 5)), (-0.1, (0.7, 3)), (-0.2, (0.6, 1))],
)
def test_only_the_ends_of_stages_are_compared(tolerance, kept):
    from kft.callbacks.best_state import BestState
    from kft.callbacks.monitor import Monitor

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    state = BestState(Monitor.of(("score", "max")), "ends", tolerance)
    values = iter(range(1, 10))
    for stage, scores in enumerate([[0.9, 0.6], [0.5, 0.7], [0.8, 0.1]]):
        state.begin_stage(model)
        for epoch, score in enumerate(scores):
            model.layers[0].kernel.assign([[next(values)]])
            state.end_epoch(model, 2 * stage + epoch, stage, {"score": score})
        state.end_stage(model)
        assert keras.ops.convert_to_numpy(model.layers[0].kernel).item() == 2 * stage + 2
    state.end_run(model)
    assert (state.best.value, state.best.epoch) == kept
    assert keras.ops.convert_to_numpy(model.layers[0].kernel).item() == kept[1] + 1


@pytest.mark.once
@pytest.mark.parametrize(
    "other", ["another layer", "a layer before", "a layer after", "two inputs"]
)
def test_a_head_that_a_recipe_changes_is_trained(other):
    class Changed(PlainRecipe):
        def head(self, backbone, inputs):
            features = self.features("vector", backbone, inputs)
            if other == "another layer":
                return keras.layers.Dense(3, activation="softmax")(features)
            if other == "a layer before":
                return self.task.head(keras.layers.Dense(4, "relu")(features), inputs)
            if other == "two inputs":
                mean = keras.layers.GlobalAveragePooling2D()(inputs)
                return self.task.head(keras.layers.Concatenate()([features, mean]), inputs)
            return keras.layers.Dense(3, activation="softmax")(self.task.head(features, inputs))

    recipe = Changed(num_classes=3, image_size=(16, 16))
    assert [stage.solve for stage in recipe.default_stages(4)] == [False, False]
    with pytest.raises(InputError, match="not linear in its features"):
        recipe.fit(pictures()[:2], stages=[SOLVED], verbose=0)


@pytest.mark.once
def test_weights_count_examples_as_often():
    from kft.tasks.linear import Softmax
    from kft.tasks.linear.solve import _fitted

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), np.eye(3)[np.arange(30) % 3]
    counts = rng.integers(1, 4, 30)
    weighted = _fitted(x, y, counts.astype("float64"), Softmax(), 0.1)
    again = np.repeat(np.arange(30), counts)
    repeated = _fitted(x[again], y[again], np.ones(len(again)), Softmax(), 0.1)
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.once
def test_balanced_classes_weigh_the_same_in_a_solved_head():
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1], [70, 10])
    x = rng.uniform(0, 255, (80, 16, 16, 3)).astype("float32")  # unrelated to the kinds
    found = {}
    for balance in (None, "weights"):
        recipe = recipe_of(Classification(2))
        recipe.fit((x, kinds), stages=[SOLVED], balance=balance, verbose=0)
        found[balance] = float(recipe.predict(x).scores[:, 1].mean())
    assert found[None] == pytest.approx(10 / 80, abs=0.05)
    assert found["weights"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.once
def test_a_bounded_number_of_examples_is_solved_for(monkeypatch, capsys):
    x, kinds, _ = pictures()
    monkeypatch.setattr("kft.family.solving.MOST", 20)
    for cache in (True, False):
        recipe = recipe_of(Classification(3))
        recipe.fit((x, kinds), stages=[SOLVED], cache=cache, verbose=2)
        assert "Head solved on 20 examples" in capsys.readouterr().out
