"""The weights at the end of a run: the best epoch of all stages, or as set by `restore_best`."""

import keras
import numpy as np
import pytest
from keras import ops

import kft
from kft.callbacks import RelativeEarlyStopping, RunCheckpoint, StagedUnfreezing
from kft.callbacks.monitor import Monitor
from kft.errors import InputError
from tests.models import convnet, images, moved, values
from tests.small_images import TinyRecipe, bright_sides


class Spy(keras.callbacks.Callback):
    """Record weights and the head's step count when epochs begin and end."""

    def on_train_begin(self, logs=None):
        self.begun, self.ended = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(self._seen())

    def on_epoch_end(self, epoch, logs=None):
        self.ended.append(self._seen())

    def _seen(self):
        head = self.model.optimizer.group_optimizers[0]
        return values(self.model), int(ops.convert_to_numpy(head.variables[0]))


class Scores(keras.callbacks.Callback):
    """Log the given scores, one per epoch."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.scores[epoch]


STAGES = [kft.Stage(0, 3, 1e-2), kft.Stage(1, 2, 1e-2), kft.Stage("all", 2, 1e-2)]


def fit(scores, *, stages=STAGES, batch_norm="train", **settings):
    staged = StagedUnfreezing(stages, verbose=0, batch_norm=batch_norm, **settings)
    model, spy = convnet(), Spy()
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    x, y = images()
    callbacks = [Scores(scores), staged, spy]
    model.fit(x, y, epochs=len(scores), batch_size=8, verbose=0, callbacks=callbacks)
    return model, spy, staged


RISING = [3.0, 9.0, 1.0, 5.0, 4.0, 6.0, 7.0]  # best of the run in epoch 2, of its stages in 2, 4, 7


@pytest.mark.parametrize(
    ("restore", "last", "begins"),
    [("run", 1, {3: 1, 5: 3}), ("stage", 6, {3: 1, 5: 3}), (None, 6, {3: 2, 5: 4})],
)
def test_each_stage_begins_and_the_run_ends_with_the_epoch_that_was_asked_for(
    restore, last, begins
):
    model, spy, staged = fit(RISING, restore_best=restore, monitor=("score", "max"))
    assert len(spy.ended) == 7
    for epoch, source in begins.items():
        assert not moved(spy.begun[epoch][0], spy.ended[source][0])
        assert spy.begun[epoch][1] == spy.ended[source][1], "the optimizer's state comes along"
    assert not moved(values(model), spy.ended[last][0])
    if restore is None:
        assert staged.best is None
    else:
        assert (staged.best.epoch, staged.best.value) == (last, RISING[last])
        assert staged.best.stage == (0 if last == 1 else 2)


def test_a_worse_last_epoch_of_the_last_stage_is_taken_back_with_its_optimizer():
    model, spy, _ = fit([1.0, 9.0, 3.0], stages=[kft.Stage("all", 3, 1e-2)], restore_best="stage",
                        monitor=("score", "max"))  # fmt: skip
    assert not moved(values(model), spy.ended[1][0])
    head = model.optimizer.group_optimizers[0]
    assert int(ops.convert_to_numpy(head.variables[0])) == spy.ended[1][1]


def test_a_run_that_another_callback_ends_goes_back_to_its_best_epoch_too():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 4

    model, spy = convnet(), Spy()
    model.compile("adam", "sparse_categorical_crossentropy")
    staged = StagedUnfreezing(STAGES, restore_best="run", monitor=("score", "max"), verbose=0)
    x, y = images()
    model.fit(x, y, epochs=7, verbose=0, callbacks=[Scores(RISING), staged, spy, Stop()])
    assert len(spy.ended) == 5
    assert not moved(values(model), spy.ended[1][0])


def test_the_default_follows_the_early_stopping_that_is_passed():
    restoring = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    assert StagedUnfreezing(STAGES).restore_best is None
    assert StagedUnfreezing(STAGES, keras.callbacks.EarlyStopping()).restore_best is None
    assert StagedUnfreezing(STAGES, restoring).restore_best == "run"
    assert StagedUnfreezing(STAGES, restoring).monitor == Monitor("val_loss", "min")
    accuracy = keras.callbacks.EarlyStopping("val_accuracy", restore_best_weights=True)
    assert StagedUnfreezing(STAGES, accuracy).monitor == Monitor("val_accuracy", "max")
    assert StagedUnfreezing(STAGES, restore_best="run").monitor == Monitor("val_loss", "min")


def test_a_monitor_that_is_never_logged_is_told():
    with pytest.warns(UserWarning, match=r"restore_best='run'.*'val_loss'.*validation_data"):
        fit(RISING, restore_best="run")


@pytest.mark.parametrize("behind", [True, False])
def test_a_run_that_was_killed_in_a_worse_stage_still_ends_with_the_best(tmp_path, behind):
    """The checkpoint is before or after the stages in the list; the best epoch is before the kill."""

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 6:
                raise KeyboardInterrupt

    def run(folder, *more):
        model, spy = convnet(), Spy()
        model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
        staged = StagedUnfreezing(
            STAGES, restore_best="run", monitor=("score", "max"), batch_norm="train", verbose=0
        )
        keep = RunCheckpoint(tmp_path / folder, every=3)
        pair = (staged, keep) if behind else (keep, staged)
        x, y = images()
        model.fit(x, y, epochs=7, batch_size=8, verbose=0, shuffle=False,
                  callbacks=[Scores(RISING), *pair, spy, *more])  # fmt: skip
        return values(model), staged.best, spy

    whole, best, spy = run("whole")
    assert not moved(whole, spy.ended[1][0])
    with pytest.raises(KeyboardInterrupt):
        run("killed", Kill())
    resumed, best_again, _ = run("killed")
    assert not moved(resumed, whole)
    assert best_again == best
    ended, best_of_the_end, spy = run("killed")
    assert not spy.ended, "there is nothing left to train"
    assert not moved(ended, whole)
    assert best_of_the_end == best


@pytest.mark.parametrize("cache", [True, False])
def test_a_recipe_ends_with_the_best_validation_loss_over_its_stages(cache):
    data = bright_sides(24), bright_sides(16, seed=1)
    stages = [kft.Stage(0, 2, 1e-2), kft.Stage("all", 1, 1.0)]
    recipe = TinyRecipe(num_classes=2, dropout=0.0)
    run = recipe.fit(*data, stages=stages, batch_size=8, cache=cache, verbose=0)
    losses = run.history["val_loss"]
    assert losses[2] > min(losses), "the last stage is a harmful one"
    recipe.model.compile(loss=recipe.loss(), metrics=recipe.metrics())
    kept, _ = recipe.model.evaluate(*data[1], batch_size=8, verbose=0)
    assert kept == pytest.approx(min(losses), rel=1e-4)
    assert run.evaluation.accuracy == run.history["val_accuracy"][losses.index(min(losses))]
    best = run.journal["best"]
    assert best == {
        "monitor": "val_loss",
        "mode": "min",
        "value": min(losses),
        "epoch": losses.index(min(losses)) + 1,
        "stage": 1,
        "among": "run",
        "tolerance": 0.0,
    }


def test_a_recipe_keeps_its_last_weights_when_asked():
    data = bright_sides(24), bright_sides(16, seed=1)
    stages = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1.0)]
    recipe = TinyRecipe(num_classes=2, dropout=0.0)
    run = recipe.fit(*data, stages=stages, batch_size=8, restore_best=None, verbose=0)
    recipe.model.compile(loss=recipe.loss(), metrics=recipe.metrics())
    kept, _ = recipe.model.evaluate(*data[1], batch_size=8, verbose=0)
    assert kept == pytest.approx(run.history["val_loss"][-1], rel=1e-4)
    assert "best" not in run.journal


@pytest.mark.once
@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("val_loss", "min"),
        ("loss", "min"),
        ("val_rmse", "min"),
        ("val_accuracy", "max"),
        ("val_sparse_categorical_accuracy", "max"),
        ("val_pr_auc", "max"),
        (("val_kappa", "max"), "max"),
        (["kappa", "min"], "min"),
    ],
)
def test_a_monitor_knows_its_direction(chosen, expected):
    assert Monitor.of(chosen).mode == expected


@pytest.mark.once
@pytest.mark.parametrize("chosen", ["val_kappa", "", None, 3, ("kappa", "up"), ("", "min")])
def test_a_monitor_whose_direction_is_unknown_is_refused(chosen):
    with pytest.raises(InputError, match="monitor="):
        Monitor.of(chosen)


@pytest.mark.once
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_value_that_is_no_number_never_counts(value):
    assert Monitor("val_loss", "min").value({"val_loss": value}) is None


def epochs_until_stop(rule, losses):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    rule.set_model(model)
    rule.on_train_begin()
    for epoch, loss in enumerate(losses):
        rule.on_epoch_end(epoch, {rule.monitor: loss})
        if model.stop_training:
            return epoch + 1
    return None


@pytest.mark.once
def test_a_loss_that_falls_in_its_fifth_decimal_does_not_keep_a_stage_waiting():
    losses = [1.7237 - 1e-5 * epoch for epoch in range(20)]
    assert epochs_until_stop(keras.callbacks.EarlyStopping(patience=3), losses) is None
    assert epochs_until_stop(RelativeEarlyStopping(patience=3), losses) == 4


@pytest.mark.once
def test_slow_improvements_add_up():
    losses = [1.0 * 0.9996**epoch for epoch in range(20)]
    assert epochs_until_stop(RelativeEarlyStopping(patience=3), losses) is None


@pytest.mark.once
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_least_improvement_has_the_scale_of_the_value(scale):
    losses = [scale * factor for factor in (1.0, 0.98, 0.97, 0.96, 0.95)]
    assert epochs_until_stop(RelativeEarlyStopping(min_delta=0.05, patience=2), losses) == 3
    rising = [-loss for loss in losses]
    rule = RelativeEarlyStopping("score", min_delta=0.05, patience=2, mode="max")
    assert epochs_until_stop(rule, rising) == 3


@pytest.mark.once
@pytest.mark.parametrize(
    "settings",
    [{"min_delta": 1.0}, {"min_delta": float("nan")}, {"patience": -1}, {"monitor": "kappa"}],
)
def test_a_rule_that_makes_no_sense_is_refused(settings):
    with pytest.raises(InputError, match=f"{next(iter(settings))}="):
        RelativeEarlyStopping(**settings)


@pytest.mark.once
def test_a_rule_that_was_interrupted_compares_as_before():
    """Keras sets the direction in the first epoch, which a resumed rule does not see again."""
    from kft.callbacks.others import restore_state, state_of

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    first, second = RelativeEarlyStopping(min_delta=0.1), RelativeEarlyStopping(min_delta=0.1)
    for rule in (first, second):
        rule.set_model(model)
        rule.on_train_begin()
    first.on_epoch_end(0, {"val_loss": 1.0})
    restore_state(second, state_of(first))
    for rule in (first, second):
        rule.on_epoch_end(1, {"val_loss": 0.95})
    assert second.wait == first.wait == 1
    assert np.isclose(second.best, 1.0)
