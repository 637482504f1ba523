"""The contract of every callback: it works alone, can be reused and copied, and keeps its state."""

import copy
import functools
import json
import re

import keras
import numpy as np
import pytest

import kft
from kft.callbacks.others import restore_state, state_of
from kft.runs.packing import pack, unpack

STAGES = [
    kft.Stage(0, epochs=1, learning_rate=1e-2),
    kft.Stage("all", epochs=1, learning_rate=1e-3, layer_decay=0.5),
]
# Constructors of all callbacks; the tests fail for a new one that is not listed.
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
NEEDED = {"RunCheckpoint": {"directory": "state"}, "StagedUnfreezing": {"stages": STAGES}}


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
    if name != "RunCheckpoint":  # it would load the finished fit instead
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
    restore_state(second, unpack(written, arrays))
    assert state_of(second) == state_of(first) != state_of(MAKERS[name](type(first), tmp_path))


@pytest.mark.once
@pytest.mark.parametrize("name", MAKERS)
def test_a_callback_says_what_it_takes_and_shows_a_fit(name):
    said = getattr(kft.callbacks, name).__doc__
    assert "Args:" in said
    assert re.search(r"```python\n.*\.fit\(.*```", said, re.DOTALL)


NONSENSE = [
    float("nan"),
    float("inf"),
    -1,
    10**5000,
    b"x",
    1j,
    np.array([1, 2]),
    {"a": 1},
    object(),
]
ARGUMENTS = [
    ("LiveCurves", "every", [*NONSENSE, True, 0, 0.5, "3", 2**31]),
    ("RelativeEarlyStopping", "min_delta", [*NONSENSE, True, 1, "0.1"]),
    ("RelativeEarlyStopping", "mode", [*NONSENSE, None, "least"]),
    ("RelativeEarlyStopping", "patience", [*NONSENSE, True, 0.5, "3", 2**31]),
    ("RelativeEarlyStopping", "restore_best_weights", [*NONSENSE, 1, "no", None]),
    ("RelativeEarlyStopping", "start_from_epoch", [*NONSENSE, True, 0.5, "3", None]),
    ("RelativeEarlyStopping", "verbose", [*NONSENSE, 3, "no", None]),
    ("RunCheckpoint", "directory", [*NONSENSE, None, "", "a\0"]),
    ("RunCheckpoint", "every", [*NONSENSE, True, 0, 0.5, "never"]),
    ("RunCheckpoint", "keep", [*NONSENSE, True, 0, 0.5, "3", 2**31]),
    ("RunCheckpoint", "on_mismatch", [*NONSENSE, None, "go"]),
    ("StagedUnfreezing", "early_stopping", [*NONSENSE, 1, "no"]),
    ("StagedUnfreezing", "verbose", [*NONSENSE, 3, "no", None]),
    ("TensorBoardLogger", "log_dir", [*NONSENSE, None, "", "a\0"]),
]


@pytest.mark.once
@pytest.mark.parametrize(("name", "argument", "values"), ARGUMENTS)
def test_a_wrong_argument_is_refused_by_name(name, argument, values, tmp_path):
    make = functools.partial(getattr(kft.callbacks, name), **NEEDED.get(name, {}))
    for value in values:
        with pytest.raises(kft.InputError, match=f"`{argument}="):
            make(**{argument: value})


@pytest.mark.once
def test_numbers_of_numpy_are_taken():
    assert kft.callbacks.LiveCurves(every=np.uint8(3)).every == 3
    assert kft.callbacks.RunCheckpoint("state", every=np.int64(5), keep=np.array(2)).keep == 2
    stop = kft.callbacks.RelativeEarlyStopping(
        min_delta=np.float32(0.5), patience=np.int8(2), restore_best_weights=np.False_
    )
    assert (stop.fraction, stop.patience) == (0.5, 2)
