"""Differing copies of a model are detected, and the first differing weight is named."""

import os
import subprocess
import sys

import keras
import pytest

from kft.distribution import Agreement
from kft.errors import InputError

SCRIPT = """
import os
backend = os.environ["KERAS_BACKEND"]
if backend == "jax":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
else:
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
import numpy as np
import kft
import kft.backends
from kft.distribution.agreement import check_agreement
from tests.leaving import leave

with kft.distribution.scope("data_parallel") as count:
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(4, name="block1")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(hidden))
    model.compile("adam", "mse")
    stages = [kft.Stage(0, 1, 1e-2), kft.Stage("all", 1, 1e-3)]
    model.fit(
        np.ones((8, 8)), np.ones(8), batch_size=4, epochs=2, verbose=0, callbacks=[
            kft.callbacks.StagedUnfreezing(stages, verbose=0), kft.distribution.Agreement(every=1),
        ],
    )
    variable = model.get_layer("block1").bias
    print(count, len(kft.backends.backend().copies(variable, model)))
    if backend == "jax":
        import jax
        array = variable.value
        parts = [shard.data for shard in array.addressable_shards]
        parts[1] = parts[1].at[3].add(1e-7)
        variable.assign(jax.make_array_from_single_device_arrays(array.shape, array.sharding, parts))
    else:
        model.distribute_strategy.experimental_local_results(variable.value)[1].assign_add([0, 0, 0, 1e-7])
    try:
        check_agreement(model, "at the end")
    except kft.KftError as error:
        print(error)
leave()
"""


@pytest.mark.once
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_device_whose_copy_has_drifted_is_found(backend):
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    devices, said = done.stdout.splitlines()
    assert devices == "2 2"
    expected = (
        "drifted apart at the end: block1/bias is the first weight that differs between device 0"
    )
    assert f"{expected} and device 1" in said


def test_one_copy_agrees_with_itself():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    x = keras.ops.convert_to_numpy(keras.ops.ones((4, 2)))
    history = model.fit(x, x[:, 0], verbose=0, callbacks=[Agreement(every=1)])
    assert len(history.history["loss"]) == 1


def test_steps_between_comparisons_are_at_least_one():
    with pytest.raises(InputError, match="`every=0`: pass a number of steps from 1"):
        Agreement(every=0)
