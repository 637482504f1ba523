"""A StopIteration in a callback, which Keras mistakes for the end of the data, is a named error."""

import keras
import numpy as np
import pytest
from keras import layers

import kft
from kft.callbacks import LearningRateWarmup, RunCheckpoint, StagedUnfreezing
from kft.errors import KftError

X, Y = np.ones((8, 3), "float32"), np.zeros(8, "int64")
STAGES = [kft.Stage("all", 1, 1e-3)]
HOOKS = ["on_train_batch_begin", "on_train_batch_end", "on_test_batch_begin", "on_test_batch_end"]


def build():
    inputs = keras.Input((3,))
    x = layers.Dense(2, name="body")(inputs)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(x))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def exhausted(hook, kind=StopIteration):
    class Exhausted(keras.callbacks.Callback):
        pass

    def fail(self, batch, logs=None):
        raise kind

    setattr(Exhausted, hook, fail)
    return Exhausted()


def fit(*callbacks):
    build().fit(X, Y, validation_data=(X, Y), batch_size=2, verbose=0, callbacks=list(callbacks))


@pytest.mark.parametrize("hook", HOOKS)
def test_stop_iteration_names_its_callback(hook):
    message = rf"Exhausted\.{hook} raised StopIteration.*stop_training = True"
    with pytest.raises(KftError, match=message):
        fit(StagedUnfreezing(STAGES, verbose=0), exhausted(hook))


@pytest.mark.once
@pytest.mark.parametrize("kind", [StopAsyncIteration, GeneratorExit])
def test_its_relatives_do_too(kind):
    with pytest.raises(KftError, match=f"raised {kind.__name__}"):
        fit(StagedUnfreezing(STAGES, verbose=0), exhausted("on_train_batch_end", kind))


@pytest.mark.once("tensorflow")
@pytest.mark.parametrize("beside", [lambda path: LearningRateWarmup(0), RunCheckpoint])
@pytest.mark.parametrize("first", [True, False])
def test_beside_every_callback_that_takes_care_of_it(tmp_path, beside, first):
    bad = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: next(iter(())))
    callbacks = [bad, beside(tmp_path)]
    with pytest.raises(KftError, match=r"LambdaCallback\.on_train_batch_end raised StopIteration"):
        fit(*(callbacks if first else callbacks[::-1]))
    if isinstance(callbacks[1], RunCheckpoint):
        callbacks[1].close()


@pytest.mark.once("tensorflow")
@pytest.mark.parametrize("cache", [True, False])
def test_in_a_fit_on_kept_features(cache):
    with pytest.raises(KftError, match=r"Exhausted\.on_test_batch_end raised StopIteration"):
        kft.fit_in_stages(
            build(), X, Y, validation_data=(X, Y), stages=[kft.Stage(0, 1, 1e-3)], cache=cache,
            verbose=0, callbacks=[exhausted("on_test_batch_end")],
        )  # fmt: skip
