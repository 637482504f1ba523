"""A fit ends with the weights of its best epoch, whatever stage or early stopping comes after."""

import keras
import keras_tuner
import pytest

import kft
from kft.tuning.best_epoch import BestEpoch
from tests.small_images import TinyRecipe, bright_sides

BEST_LOSS = keras_tuner.Objective("val_loss", "min")


def fit(callback, stages, rule, cache):
    recipe = TinyRecipe(num_classes=2, dropout=0.0)
    run = recipe.fit(
        bright_sides(24), bright_sides(16, seed=1), stages=stages, batch_size=8, cache=cache,
        callbacks=[callback], early_stopping=rule, report=False, verbose=0,
    )  # fmt: skip
    model = recipe.model
    model.compile(loss=recipe.loss(), metrics=recipe.metrics())
    kept = model.evaluate(*bright_sides(16, seed=1), batch_size=8, return_dict=True, verbose=0)
    return run.history, kept


@pytest.mark.parametrize("cache", [True, False])
def test_the_best_epoch_counts_and_not_the_last(cache):
    """The last epoch is at most one of the best and the worst, so both are asked for."""
    stages = [kft.Stage(0, 2, 1e-2), kft.Stage(0, 1, 1.0)]
    for direction, best in (("min", min), ("max", max)):
        objective = keras_tuner.Objective("val_loss", direction)
        history, kept = fit(BestEpoch(objective), stages, None, cache)
        assert len(set(history["val_loss"])) == 3
        assert kept["loss"] == pytest.approx(best(history["val_loss"]), rel=1e-4)


def test_early_stopping_by_another_metric_does_not_replace_it():
    """At the end of the last stage its rule puts back the epoch that was best for the rule."""
    rule = keras.callbacks.EarlyStopping(
        "learning_rate", mode="max", patience=9, restore_best_weights=True
    )
    history, kept = fit(BestEpoch(BEST_LOSS), [kft.Stage(0, 3, 1e-2)], rule, True)
    assert min(history["val_loss"]) == history["val_loss"][-1]
    assert history["val_loss"][0] > history["val_loss"][-1]
    assert kept["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-4)


def test_a_run_that_goes_on_remembers_the_best_epoch_before():
    """State goes from one callback to the next as a resumed run hands it on."""
    first, second = BestEpoch(BEST_LOSS), BestEpoch(BEST_LOSS)
    states = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            states.append(first.get_state())

    class HandOn(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            second.set_state(states[-1] | {"score": -1.0})  # no epoch to come beats that

    recipe = TinyRecipe(num_classes=2, dropout=0.0)
    data = bright_sides(24), bright_sides(16, seed=1)
    settings = {"batch_size": 8, "early_stopping": None, "report": False, "verbose": 0}
    good = recipe.fit(
        *data, stages=[kft.Stage(0, 1, 1e-2)], callbacks=[first, Keep()], **settings
    ).history
    recipe.fit(*data, stages=[kft.Stage(0, 1, 1e-1)], callbacks=[second, HandOn()], **settings)
    recipe.model.compile(loss=recipe.loss(), metrics=recipe.metrics())
    kept, _ = recipe.model.evaluate(*data[1], batch_size=8, verbose=0)
    assert kept == pytest.approx(good["val_loss"][0], rel=1e-4)
