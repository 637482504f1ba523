"""Replicas agree: stages on several virtual devices end where they end on one."""

import os
import subprocess
import sys

import numpy as np
import pytest

import kft
from kft.errors import InputError

pytestmark = pytest.mark.once

SCRIPT = """
import os, sys
devices, backend, out = int(sys.argv[1]), os.environ["KERAS_BACKEND"], sys.argv[2]
if backend == "jax":
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
else:
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(devices)]
    tf.config.set_logical_device_configuration(cpu, logical)
import keras
import numpy as np
import kft
from kft.callbacks import RunCheckpoint, StagedUnfreezing

class Crash(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3 and sys.argv[4] == "crash":
            os._exit(7)

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 8)).astype("float32")
y = (x.sum(1) > 0).astype("int32")
stages = [
    kft.Stage(0, 2, 1e-2),
    kft.Stage(1, 1, 1e-3, warmup=0.2),
    kft.Stage("all", 2, 1e-3, decay="cosine", layer_decay=0.8),
]
with kft.distribution.scope("data_parallel" if devices > 1 else "none") as count:
    assert count == devices
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8,))
    hidden = inputs
    for number in range(2):
        hidden = keras.layers.Dense(16, activation="relu", name=f"block{number}")(hidden)
    outputs = keras.layers.Dense(2, activation="softmax", name="head")(hidden)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.AdamW(1e-2, global_clipnorm=1.0)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    history = model.fit(
        x, y, validation_data=(x[:16], y[:16]), batch_size=16, shuffle=False, epochs=5, verbose=0,
        callbacks=[StagedUnfreezing(stages, stop, verbose=0), RunCheckpoint(sys.argv[3]), Crash()],
    ).history
    np.savez(out, *model.get_weights(), loss=history["loss"], stage=history["stage"])
"""


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_stages_on_several_devices_end_where_they_end_on_one(tmp_path, backend):
    def run(devices, name, crash="no"):
        out, state = tmp_path / f"{name}.npz", tmp_path / f"state-{name}"
        command = [sys.executable, "-c", SCRIPT, str(devices), str(out), str(state), crash]
        environment = os.environ | {"KERAS_BACKEND": backend}
        done = subprocess.run(command, env=environment, text=True, capture_output=True)
        assert done.returncode == (7 if crash == "crash" else 0), done.stderr
        return None if crash == "crash" else np.load(out)

    one = run(1, "one")
    run(4, "several", "crash")
    several = run(4, "several")  # goes on from the commit
    assert list(several["stage"]) == list(one["stage"])
    for name in one.files:
        np.testing.assert_allclose(several[name], one[name], atol=1e-5, err_msg=name)


def test_a_bad_word_is_named():
    with (
        pytest.raises(InputError, match=r"`distribution='mirrored'`.*'none', 'data_parallel'"),
        kft.distribution.scope("mirrored"),
    ):
        pass


def test_a_recipe_in_a_scope_of_several_devices_is_refused(monkeypatch):
    from tests.small_images import TinyRecipe, bright_sides

    monkeypatch.setattr("kft.distribution.spreading.device_count", lambda: 4)
    with pytest.raises(InputError, match="scope of 4 devices"):
        TinyRecipe(num_classes=2).fit(bright_sides(16), verbose=0)
