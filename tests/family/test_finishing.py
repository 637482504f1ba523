"""The work after the stages of a fit: a temperature for the scores, and a refit on all data."""

import json

import keras
import numpy as np
import pytest

import kft
from kft.data.joined import joined
from kft.data.split import split
from kft.errors import InputError
from kft.family.reopening import reopen, report_again, with_evaluation
from kft.tasks import Classification, MultiLabel, Regression, Several
from kft.tasks.linear import Sigmoid, Softmax, temperature
from tests.family.test_solving import DEEP, SOLVED, PlainRecipe, pictures, recipe_of

TOO_SURE = 5.0


def test_scores_become_as_sure_as_they_are_right(tmp_path):
    """The labels are drawn from a softmax whose temperature is known."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 5))
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in odds])
    found = temperature(TOO_SURE * logits, labels, Softmax())
    assert found == pytest.approx(TOO_SURE, rel=0.06)
    tags = (rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype("float32")
    assert temperature(TOO_SURE * logits, tags, Sigmoid()) == pytest.approx(TOO_SURE, rel=0.06)


@pytest.mark.once
def test_few_examples_change_a_temperature_little():
    logits = np.array([[9.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    assert 0.5 < temperature(logits, [0, 1, 0], Softmax()) < 1
    assert 1 < temperature(logits, [0, 1, 1], Softmax()) < 8
    assert temperature(np.zeros((3, 2)), [0, 1, 1], Softmax()) == pytest.approx(1, abs=1e-3)
    assert temperature(np.zeros((3, 2)), [0, 1, 1], Softmax(), 0.5) == pytest.approx(0.5, abs=1e-3)


def noisy(count=120, seed=0):
    """Return images of which a third have a wrong label."""
    x, kinds, _ = pictures(count, seed)
    wrong = np.arange(count) % 9 < 3
    return x, np.where(wrong, (kinds + 1) % 3, kinds)


class Sharpen(keras.callbacks.Callback):
    """Make the model overconfident at the end of each epoch."""

    def on_epoch_end(self, epoch, logs=None):
        layer = self.model.get_layer("predictions")
        layer.set_weights([TOO_SURE * weight for weight in layer.get_weights()])


def test_a_temperature_is_folded_into_the_head():
    runs = {}
    for calibrate in (False, True):
        recipe = recipe_of(Classification(3))
        runs[calibrate] = recipe.fit(
            noisy(), noisy(60, 1), stages=[SOLVED, DEEP], restore_best=None, callbacks=[Sharpen()],
            finish=kft.Finish(calibrate=calibrate), verbose=0,
        )  # fmt: skip
    before, after = runs[False], runs[True]
    (value,) = after.journal["temperature"].values()
    assert value > 1.5
    assert "temperature" not in before.journal
    one, other = (run.recipe.model.get_layer("predictions").get_weights() for run in runs.values())
    for plain, divided in zip(one, other, strict=True):
        np.testing.assert_allclose(plain / np.float32(value), divided, rtol=1e-6)
    errors = [run.evaluation.figures["calibration_error"] for run in (before, after)]
    assert errors[1] < errors[0]
    assert before.evaluation.accuracy == after.evaluation.accuracy
    kinds = [[type(layer) for layer in run.recipe.model.layers] for run in runs.values()]
    assert kinds[0] == kinds[1], "an export has no other layers"


@pytest.mark.once
def test_each_head_has_a_temperature_and_numbers_have_none():
    x, kinds, brightness = pictures()
    task = Several({"kind": Classification(3), "light": Regression()})
    recipe = recipe_of(task)
    run = recipe.fit(
        (x, {"kind": kinds, "light": brightness}), stages=[SOLVED],
        finish=kft.Finish(calibrate=True), verbose=0,
    )  # fmt: skip
    assert run.journal["temperature"].keys() == {"kind_predictions"}


@pytest.mark.once
@pytest.mark.parametrize("task", [Regression(), MultiLabel(3, threshold=0.3)])
def test_scores_that_are_no_probabilities_are_not_calibrated(task):
    x, kinds, brightness = pictures()
    targets = brightness if isinstance(task, Regression) else np.eye(3, dtype="float32")[kinds]
    with pytest.raises(InputError, match="`calibrate=True` scales probabilities"):
        recipe_of(task).fit(
            (x, targets), stages=[SOLVED], finish=kft.Finish(calibrate=True), verbose=0
        )
    run = recipe_of(task).fit((x, targets), stages=[SOLVED], verbose=0)
    assert "temperature" not in run.journal


def test_a_refit_is_the_fit_of_everything_in_the_epochs_that_were_best(tmp_path):
    """It has the same start and order, and nothing of the first fit remains."""
    x, kinds, _ = pictures()
    stages = [SOLVED, kft.Stage("all", 4, 1e-3)]
    recipe = recipe_of(Classification(3))
    recipe.model  # noqa: B018  built, so that both start from the same weights
    run = recipe.fit(
        (x, kinds),
        stages=stages,
        finish=kft.Finish(refit=True),
        run_dir=tmp_path / "run",
        verbose=0,
    )
    best = run.journal["best"]
    lengths = [1, best["epoch"] - 1][: best["stage"]]
    assert run.journal["refit"]["epochs"] == lengths
    assert run.journal["refit"]["examples"] == 60
    assert len(run.history["loss"]) >= sum(lengths), "the history is that of the first fit"
    everything = joined(run.training, run.validation)
    expected = recipe_of(Classification(3))
    kept = [stages[0], kft.Stage("all", lengths[-1], 1e-3)][: len(lengths)]
    expected.fit(
        everything, pictures(9, seed=3)[:2], stages=kept, early_stopping=None, restore_best=None,
        verbose=0,
    )  # fmt: skip
    for ours, theirs in zip(recipe.model.weights, expected.model.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "trained again from the start on all 60 examples" in page
    assert "What this page shows is the model before that." in page
    data = recipe.read(pictures(9, seed=3)[:2])
    later = with_evaluation(
        reopen(tmp_path / "run", recipe=type(recipe)), recipe.evaluate(data), data
    )
    page = report_again(later, tmp_path / "again.html").read_text(encoding="utf-8")
    assert "the figures and mistakes of the one after it" in page
    assert not (tmp_path / "run" / "refit").exists()
    assert run.evaluation is not None


def test_a_refit_takes_an_optimizer_like_the_one_that_was_passed():
    """It excludes the same weights from decay, which is not part of an optimizer's config."""
    x, kinds, _ = pictures()

    def fitted(data, *more, **settings):
        recipe = recipe_of(Classification(3))
        optimizer = keras.optimizers.SGD(weight_decay=0.9)
        optimizer.exclude_from_weight_decay(var_list=recipe.model.weights[:1])
        recipe.fit(data, *more, stages=[DEEP], optimizer=optimizer, early_stopping=None,
                   restore_best=None, verbose=0, **settings)  # fmt: skip
        return recipe

    refitted = fitted((x, kinds), finish=kft.Finish(refit=True))
    train, held_out = split(refitted.read((x, kinds)), 0.2, 0)
    expected = fitted(joined(train, held_out), pictures(9, seed=3)[:2])
    for ours, theirs in zip(refitted.model.weights, expected.model.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.once
def test_a_temperature_stays_with_what_is_trained_again():
    recipe = recipe_of(Classification(3))
    run = recipe.fit(
        noisy(), stages=[SOLVED], finish=kft.Finish(calibrate=True, refit=True), verbose=0
    )
    plain = recipe_of(Classification(3))
    plain.fit(noisy(), stages=[SOLVED], finish=kft.Finish(refit=True), verbose=0)
    (value,) = run.journal["temperature"].values()
    heads = [one.model.get_layer("predictions").get_weights()[0] for one in (recipe, plain)]
    np.testing.assert_allclose(heads[0], heads[1] / np.float32(value), rtol=1e-5)


@pytest.mark.once
def test_a_regression_learns_its_scale_again():
    x, _, brightness = pictures()
    recipe = recipe_of(Regression())
    recipe.fit((x, brightness), stages=[SOLVED], finish=kft.Finish(refit=True), verbose=0)
    expected = recipe_of(Regression())
    expected.fit((x, brightness), (x[:9], brightness[:9]), stages=[SOLVED], verbose=0)
    assert recipe.state() == pytest.approx(expected.state(), rel=1e-5)


@pytest.mark.once
def test_a_stream_is_not_joined_with_other_data():
    import tensorflow as tf

    x, kinds, _ = pictures()
    held_out = tf.data.Dataset.from_tensor_slices((x, kinds)).batch(8)
    with pytest.raises(InputError, match=r"a stream cannot be joined.*leave out `refit=True`"):
        recipe_of(Classification(3)).fit(
            (x, kinds), held_out, stages=[DEEP], finish=kft.Finish(refit=True), verbose=0
        )


@pytest.mark.once
def test_what_is_open_is_decided_by_the_stages_and_by_who_chose_the_validation_data():
    x, kinds, _ = pictures()
    settings = {"batch_size": 30, "verbose": 0, "restore_best": None}

    def follows(*data, **given):
        recipe = PlainRecipe(num_classes=3, image_size=(16, 16))
        recipe.fit(*data, **settings, **given, finish=kft.Finish(report=False))
        return recipe.origin["plan"]["finish"]

    assert follows((x, kinds)) == {"calibrate": True, "refit": True}
    assert follows((x, kinds), (x[:9], kinds[:9])) == {"calibrate": True, "refit": False}
    assert follows((x, kinds), stages=[SOLVED]) == {"calibrate": False, "refit": False}


@pytest.mark.once
def test_a_finished_run_whose_page_is_lost_is_not_judged_by_what_it_trained_on(tmp_path):
    def fit():
        return recipe_of(Classification(3)).fit(
            pictures()[:2], stages=[SOLVED], finish=kft.Finish(refit=True), verbose=0,
            run_dir=tmp_path / "run",
        )  # fmt: skip

    figures = fit().evaluation.figures.described
    (tmp_path / "run" / "report.html").unlink()
    with pytest.warns(UserWarning, match="has no page, and its model has been trained on"):
        again = fit()
    assert again.evaluation.figures.described == figures  # of the model before the refit
    journal = json.loads((tmp_path / "run" / "journal.json").read_text())
    assert journal["refit"]["examples"] == 60
