"""What every callback owes: it works alone, can be used twice and copied, and its state survives."""

import copy
import json
import re

import keras
import numpy as np
import pytest

import kft
from kft.callbacks.others import give_state, state_of
from kft.runs.packing import pack, unpack

STAGES = [
    kft.Stage(0, epochs=1, learning_rate=1e-2),
    kft.Stage("all", epochs=1, learning_rate=1e-3, layer_decay=0.5),
]
# How to make each of them; a new callback without a line here fails.
MAKERS = {
    "LearningRateWarmup": lambda cls, folder: cls(0.5),
    "LiveCurves": lambda cls, folder: cls(),
    "MLflowLogger": lambda cls, folder: cls(tracking_uri=(folder / "mlruns").as_uri()),
    "RelativeEarlyStopping": lambda cls, folder: cls("loss"),
    "RunCheckpoint": lambda cls, folder: cls(folder / "state", "epoch"),
    "StagedUnfreezing": lambda cls, folder: cls(STAGES, verbose=0),
    "TensorBoardLogger": lambda cls, folder: cls(folder / "logs"),
    "WandbLogger": lambda cls, folder: cls(mode="offline", directory=folder),
}


@pytest.fixture(autouse=True)
def stays_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_SILENT", "true")


def small_model():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, activation="tanh", name="body")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="head")(x))
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    return model


def fit(model, callback):
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("int64")
    model.fit(x, y, epochs=2, batch_size=8, verbose=0, callbacks=[callback])


def test_every_callback_is_held_to_it():
    assert sorted(MAKERS) == kft.callbacks.__all__


@pytest.mark.parametrize("name", MAKERS)
def test_a_callback_works_alone_twice_and_as_a_copy(name, tmp_path):
    callback = MAKERS[name](getattr(kft.callbacks, name), tmp_path)
    assert isinstance(callback, keras.callbacks.Callback)
    copied = copy.deepcopy(callback)  # KerasTuner copies callbacks for each trial
    fit(small_model(), callback)
    json.dumps(pack(state_of(callback) or {}, {}))
    if name != "RunCheckpoint":  # which would load the finished fit instead
        fit(small_model(), callback)
        fit(small_model(), copied)


@pytest.mark.once
@pytest.mark.parametrize("name", ["LiveCurves", "MLflowLogger", "WandbLogger"])
def test_a_state_survives_being_written(name, tmp_path):
    first = MAKERS[name](getattr(kft.callbacks, name), tmp_path)
    fit(small_model(), first)
    arrays = {}
    written = json.loads(json.dumps(pack(state_of(first), arrays)))
    second = MAKERS[name](getattr(kft.callbacks, name), tmp_path)
    give_state(second, unpack(written, arrays))
    assert state_of(second) == state_of(first) != state_of(MAKERS[name](type(first), tmp_path))


@pytest.mark.once
@pytest.mark.parametrize("name", MAKERS)
def test_a_callback_says_what_it_takes_and_shows_a_fit(name):
    said = getattr(kft.callbacks, name).__doc__
    assert "Args:" in said
    assert re.search(r"```python\n.*\.fit\(.*```", said, re.DOTALL)
