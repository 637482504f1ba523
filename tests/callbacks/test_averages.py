"""Keras' SwapEMAWeights with kft's callbacks, and other code that reads the optimizer in a fit."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kft
from kft.callbacks import LearningRateWarmup, RunCheckpoint, StagedUnfreezing
from kft.errors import InputError
from kft.stages.optimizer import GroupedOptimizer
from kft.stages.plan import plan
from kft.stages.regrouping import regroup, template

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
ONE = [kft.Stage("all", 3, 1e-2)]
TWO = [kft.Stage(0, 2, 1e-2), kft.Stage("all", 2, 3e-3)]


def build(optimizer=None):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    x = layers.Dense(4, activation="tanh", name="body")(inputs)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(x))
    if optimizer is None:
        optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.7)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def fit(model, callbacks, epochs=3):
    return model.fit(
        X, Y, validation_data=(X, Y), batch_size=4, epochs=epochs, shuffle=False, verbose=0,
        callbacks=callbacks,
    ).history  # fmt: skip


def staged(stages=ONE):
    return StagedUnfreezing(stages, verbose=0)


def numpy_of(variables):
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


@pytest.mark.parametrize(
    ("beside", "first"),
    [(staged, True), (lambda: LearningRateWarmup(0), False)],
    ids=["stages", "warmup"],
)
def test_averages_are_validated_as_in_a_fit_without_stages(beside, first):
    plain, other = build(), build()
    expected = fit(plain, [keras.callbacks.SwapEMAWeights()])
    swap = keras.callbacks.SwapEMAWeights()
    found = fit(other, [swap, beside()] if first else [beside(), swap])
    np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=1e-6)
    for one, another in zip(plain.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, another, atol=1e-7)


class Watch(keras.callbacks.Callback):
    """Record the weights within each validation, and the averages and weights after it."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def on_test_begin(self, logs=None):
        self.inside = numpy_of(self.model.trainable_variables)

    def on_epoch_end(self, epoch, logs=None):
        variables, averages = zip(*self.model.optimizer.averages, strict=True)
        self.rows.append((self.inside, numpy_of(averages), numpy_of(variables)))


def test_averages_are_swapped_for_validation_in_every_stage_and_back_after_it():
    model, watch = build(), Watch()
    fit(model, [staged(TWO), keras.callbacks.SwapEMAWeights(), watch], epochs=4)
    assert [len(averages) for _, averages, _ in watch.rows] == [2, 2, 4, 4]
    for inside, averages, after in watch.rows:
        for one, average, weight in zip(inside, averages, after, strict=True):
            np.testing.assert_allclose(one, average, atol=1e-6)
            assert not np.allclose(one, weight, atol=1e-5)


def test_a_fit_with_averages_goes_on_to_the_last_bit(tmp_path):
    class Crash(keras.callbacks.Callback):
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            self.seen += 1
            if self.seen == 11:  # in the middle of an epoch of the second stage
                raise RuntimeError

    def run(folder, *more):
        model, keep = build(), RunCheckpoint(folder, every=2)
        try:
            history = fit(
                model, [staged(TWO), keep, keras.callbacks.SwapEMAWeights(), *more], epochs=4
            )
        except RuntimeError:
            return keep.close()
        return history["val_loss"], numpy_of((*model.variables, *model.optimizer.variables))

    losses, state = run(tmp_path / "whole")
    assert run(tmp_path / "cut", Crash()) is None
    again, found = run(tmp_path / "cut")
    assert again == losses
    for one, another in zip(state, found, strict=True):
        np.testing.assert_array_equal(one, another)


def test_a_run_whose_best_epoch_lies_in_an_earlier_stage_ends_with_its_averages():
    class Falling(keras.callbacks.Callback):
        """Log a score that is best in the second epoch."""

        def on_epoch_end(self, epoch, logs=None):
            logs["score"] = -abs(epoch - 1)

    model, watch = build(), Watch()
    stages = StagedUnfreezing(TWO, restore_best="run", monitor=("score", "max"), verbose=0)
    fit(model, [Falling(), stages, keras.callbacks.SwapEMAWeights(), watch], epochs=4)
    assert stages.best.epoch == 1
    head = model.get_layer("head").weights
    for average, weight in zip(watch.rows[1][1], numpy_of(head), strict=True):
        np.testing.assert_allclose(average, weight, atol=1e-7)


def test_a_fit_can_follow_a_fit_with_averages():
    model = build()
    for _ in range(2):
        fit(model, [staged([kft.Stage("all", 1, 1e-2)])], epochs=1)


def test_a_weight_without_a_gradient_keeps_its_value():
    inputs = keras.Input((6,))
    used, unused = (layers.Dense(2, name=name)(inputs) for name in ("used", "unused"))
    model = keras.Model(inputs, [used, unused])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), ["mse", None])
    before = numpy_of(model.get_layer("unused").weights)
    model.fit(X, [np.zeros((16, 2))] * 2, epochs=3, verbose=0, callbacks=[staged()])
    for one, another in zip(before, numpy_of(model.get_layer("unused").weights), strict=True):
        np.testing.assert_allclose(one, another, atol=1e-7)


def test_swapping_between_epochs_is_refused_before_a_step():
    model = build()
    before = model.get_weights()
    with pytest.raises(InputError, match=r"SwapEMAWeights\(swap_on_epoch=True\).*StagedUnfreezing"):
        fit(model, [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), staged()])
    for one, another in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, another)


def in_stage(optimizer):
    """Return a model at the beginning of a stage of two groups."""
    model = build(optimizer)
    stage = kft.Stage("all", 1, 0.1)
    regroup(model, template(model), plan(model, [stage])[0].groups, stage, None)
    return model


@pytest.mark.once
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.1, momentum=0.8, nesterov=True, clipnorm=0.3),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.3, beta_1=0.7, global_clipnorm=2.0),
        lambda: keras.optimizers.Adam(
            0.1, use_ema=True, ema_momentum=0.6, ema_overwrite_frequency=3, clipvalue=0.5
        ),
        lambda: keras.optimizers.Adam(0.1, gradient_accumulation_steps=2),
        lambda: keras.optimizers.RMSprop(0.1, rho=0.5, loss_scale_factor=4.0),
    ],
)
def test_the_optimizer_of_a_stage_reads_as_the_one_it_was_made_from(optimizer):
    found, settings = in_stage(optimizer()).optimizer, optimizer().get_config()
    assert isinstance(found, GroupedOptimizer)
    del settings["name"]
    settings["learning_rate"] = pytest.approx(0.1)
    assert {name: getattr(found, name) for name in settings} == settings
    assert {name: found.get_config()[name] for name in settings} == settings


@pytest.mark.once
@pytest.mark.parametrize(
    ("setting", "value"), [("weight_decay", 0.1), ("momentum", 0.5), ("clipnorm", 0.2)]
)
def test_setting_a_setting_sets_it_for_every_group(setting, value):
    found = in_stage(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01)).optimizer
    setattr(found, setting, value)
    assert getattr(found, setting) == value
    assert [getattr(one, setting) for one in found.group_optimizers] == [value, value]
    assert not hasattr(found, "beta_1")
    found.apply = applied = lambda gradients, variables=None: None
    assert found.apply is applied, "what is no setting stays with the optimizer"
    del found.apply
    assert all(one.apply is not applied for one in found.group_optimizers)


@pytest.mark.once
def test_a_schedule_set_during_a_stage_is_refused():
    found = in_stage(keras.optimizers.SGD(0.1)).optimizer
    with pytest.raises(InputError, match=r"optimizer\.learning_rate = .*has a schedule already"):
        found.learning_rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.9)


@pytest.mark.once
def test_each_variable_of_the_optimizer_has_a_path_of_its_own():
    optimizer = in_stage(keras.optimizers.Adam(0.1)).optimizer
    paths = [variable.path for variable in optimizer.variables]
    assert len(paths) == len(set(paths))
