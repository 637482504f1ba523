import keras
import numpy as np
import pytest
from keras import ops

import kft
from kft.errors import InputError
from tests.models import convnet, images


def fit(callback, optimizer=None, others=(), epochs=2):
    model = convnet()
    model.compile(optimizer or keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    x, y = images()
    return model.fit(
        x, y, epochs=epochs, batch_size=8, verbose=0, callbacks=[callback, *others]
    ).history


def test_the_rate_rises_to_the_optimizers_own_then_falls():
    history = fit(kft.callbacks.LearningRateWarmup(0.5, decay="linear"), epochs=2)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1 / 6], rtol=1e-5)


def test_a_warmup_in_steps_and_a_peak_of_its_own():
    history = fit(kft.callbacks.LearningRateWarmup(12, learning_rate=0.2))
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.2], rtol=1e-5)


def test_it_leaves_the_trainable_flags_alone():
    model = convnet()
    model.get_layer("c1").trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images()
    before = np.array(ops.convert_to_numpy(model.get_layer("c1").kernel))
    model.fit(x, y, verbose=0, callbacks=[kft.callbacks.LearningRateWarmup()])
    np.testing.assert_array_equal(before, ops.convert_to_numpy(model.get_layer("c1").kernel))


def test_reduce_on_plateau_works_beside_it():
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0)
    history = fit(kft.callbacks.LearningRateWarmup(2), others=[plateau], epochs=4)
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.1, 0.05, 0.025], rtol=1e-5)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_rate_that_has_decayed_to_0_cannot_be_set_and_says_so(decay):
    model = convnet()
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    x, y = images()
    warmup = kft.callbacks.LearningRateWarmup(0.1, decay=decay)
    model.fit(x, y, epochs=2, verbose=0, callbacks=[warmup])
    model.optimizer.learning_rate = 0.0  # as it is
    with pytest.raises(
        InputError, match=r"0\.01`, but the rate has decayed to 0.*compile the model"
    ):
        model.optimizer.learning_rate = 0.01


def test_a_rate_of_0_can_be_raised_again():
    model = convnet()
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    x, y = images()
    model.fit(x, y, verbose=0, callbacks=[kft.callbacks.LearningRateWarmup(1)])
    for rate in (0.0, 0.05, 0.2):
        model.optimizer.learning_rate = rate
        assert float(ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(rate)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match=r"warmup=1.5"):
        kft.callbacks.LearningRateWarmup(1.5)
    with pytest.raises(InputError, match=r"learning rate is 0.0"):
        fit(kft.callbacks.LearningRateWarmup(), optimizer=keras.optimizers.SGD(0.0))
