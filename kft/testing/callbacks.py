"""The contract of a callback: it works alone, twice, as a copy, inside stages, and after a kill."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kft.callbacks import RunCheckpoint
from kft.callbacks.others import restore_state, state_of
from kft.runs.packing import pack, unpack
from kft.runs.randomness import seeded
from kft.stages.stage import Stage
from kft.testing.checks import (
    ContractError,
    end_in_second_epoch,
    equal,
    require,
    weights_of,
)
from kft.training.plain import fit_in_stages


def check_callback(make: Callable[[], keras.callbacks.Callback]) -> None:
    """Check that a callback fulfils the contract of kft's callbacks.

    It works in a plain `model.fit`, a second time, and as a deep copy, as KerasTuner makes for each
    trial; the result of `get_state` can be written and restored; it works in a staged fit with cached
    features; and a fit that is killed and resumed ends with the same weights and state as an
    uninterrupted one.

    Args:
        make: Creates the callback; each call must create an equal one. Its class is enough if all
            arguments have defaults.

    Raises:
        ContractError: If a promise is broken; the message names the step.

    Example:

    ```python
    def test_my_callback():
        kft.testing.check_callback(lambda: MyCallback(patience=2))
    ```
    """
    callback = make()
    require(isinstance(callback, keras.callbacks.Callback), "make", "it is not a Keras callback")
    copied = copy.deepcopy(callback)
    _fit(_model(), [callback])
    _fit(_model(), [callback])
    _fit(_model(), [copied])
    arrays: dict[str, np.ndarray] = {}
    try:
        written = json.loads(json.dumps(pack(state_of(callback) or {}, arrays)))
    except TypeError as error:
        raise ContractError(
            f"state: `get_state` returns what cannot be written: {error}."
        ) from error
    again = make()
    if hasattr(again, "set_state"):
        restore_state(again, unpack(written, arrays))
        require(
            _same(state_of(again), state_of(callback)),
            "state",
            "`set_state` does not restore what `get_state` returned",
        )
    x, y = _data()
    fit_in_stages(
        _model(),
        x,
        y,
        stages=[Stage(0, 1, 1e-2), Stage("all", 1, 1e-3)],
        cache=True,
        callbacks=[make()],
        verbose=0,
    )
    _resumes(make)


def _resumes(make: Callable[[], keras.callbacks.Callback]) -> None:
    whole, whole_callback = _model(), make()
    _fit(whole, [whole_callback])
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "state")
        end_in_second_epoch(
            lambda ending: _fit(_model(), [make(), ending, RunCheckpoint(state, "epoch")])
        )
        resumed, resumed_callback = _model(), make()
        _fit(resumed, [resumed_callback, RunCheckpoint(state, "epoch")])
    require(
        equal(weights_of(whole), weights_of(resumed), 1e-6),
        "resume",
        "a fit that was killed and resumed ends with other weights: give the callback `get_state` and "
        "`set_state`",
    )
    if state_of(whole_callback) is not None:
        require(
            _same(state_of(whole_callback), state_of(resumed_callback)),
            "resume",
            "a fit that was killed and resumed leaves the callback in another state",
        )


def _model() -> keras.Model:
    with seeded(0):
        inputs = keras.Input((4,))
        x = keras.layers.Dense(4, activation="tanh", name="body")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="head")(x))
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    return model


def _data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    return x, (x[:, 0] > 0).astype("int64")


def _fit(model: keras.Model, callbacks: list) -> None:
    x, y = _data()
    model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)


def _same(one: Any, other: Any) -> bool:
    """Whether two states are equal; arrays are compared by their values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)
