"""A fit that fails leaves the recipe as it was."""

import keras
import numpy as np
import pytest

import kft
from kft.testing.families import TinyImages, tiny_images

DATA = (tiny_images(12), ["a", "b"] * 6)
STAGES = [kft.Stage("all", epochs=3, learning_rate=0.1)]


class Failing(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_the_next_fit_begins_as_the_one_that_failed():
    once, twice = TinyImages(num_classes=2), TinyImages(num_classes=2)
    settings = {"stages": STAGES, "verbose": 0, "finish": kft.Finish(report=False)}
    once.fit(DATA, DATA, **settings)
    before = twice.model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        twice.fit(DATA, DATA, callbacks=[Failing()], **settings)
    for one, other in zip(before, twice.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    twice.fit(DATA, DATA, **settings)
    for one, other in zip(once.model.get_weights(), twice.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_call_after_an_interrupted_training_on_everything_ends_as_one_undisturbed(
    monkeypatch, tmp_path
):
    once, twice = TinyImages(num_classes=2), TinyImages(num_classes=2)
    finish = kft.Finish(refit=True, report=False)
    settings = {"stages": STAGES, "verbose": 0, "finish": finish}
    once.fit(DATA, DATA, run_dir=tmp_path / "once", **settings)
    with monkeypatch.context() as patch:
        patch.setattr("kft.family.fit.refit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            twice.fit(DATA, DATA, run_dir=tmp_path / "twice", **settings)
    twice.fit(DATA, DATA, run_dir=tmp_path / "twice", **settings)
    for one, other in zip(once.model.get_weights(), twice.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def interrupted(*_):
    raise KeyboardInterrupt
