"""Values of `distribution=`, and the parts of Keras on which it depends."""

import ast
import json
from importlib.metadata import version
from pathlib import Path

import keras
import pytest

import kft
from kft.distribution import DataParallel, ModelParallel
from kft.distribution.model_copies import spread
from kft.errors import InputError
from kft.stages.optimizer_internals import decays
from tests.small_images import TinyRecipe, bright_sides

pytestmark = pytest.mark.once("tensorflow")


def test_the_private_function_of_keras_is_that_of_3_15():
    """`kft.distribution.on_jax` replaces it (checked in 3.15.1): check again if this fails."""
    assert version("keras").startswith("3.15.")
    source = Path(keras.__file__).parent / "src" / "backend" / "jax" / "distribution_lib.py"
    (found,) = [
        node
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "distribute_data_input"
    ]
    names = [argument.arg for argument in found.args.args]
    assert names == ["per_process_batch", "layout", "batch_dim_name"]


@pytest.mark.parametrize(
    ("layout", "message"),
    {
        "nothing matches": ({"convolution": (None, "model")}, "'convolution' matches no variable"),
        "odd": ({"head/kernel": (None, "model")}, "does not fit head/kernel of shape"),
        "axes": ({"head/kernel": ("model",)}, "name each axis"),
    }.values(),
)
def test_a_layout_that_does_not_fit_is_named(layout, message):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(inputs))
    with pytest.raises(InputError, match=message):
        kft.plan_table(model, [kft.Stage("all", 1, 1e-3)], distribution=ModelParallel(2, layout))


def test_large_kernels_of_any_model_are_cut():
    inputs = keras.Input((256,))
    hidden = keras.layers.Dense(256, name="head_hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden))
    table = kft.plan_table(model, [kft.Stage("all", 1, 1e-3)], distribution=ModelParallel(4))
    assert table.notes == (
        "Cut in 4: head_hidden/kernel (256 x 256/4)",
        "Each device holds 0.0654 of 0.253 MiB of weights.",
    )


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_a_bad_number_of_devices_is_named(value):
    with pytest.raises(InputError, match=r"`devices=.*whole number of 1 or more"):
        DataParallel(devices=value)


def test_more_devices_than_there_are_is_an_error():
    with pytest.raises(InputError, match="`devices=64`, but there are"):  # noqa: SIM117
        with kft.distribution.scope(DataParallel(64)):
            pass


@pytest.mark.parametrize("name", ["MultiWorkerMirroredStrategy", "ParameterServerStrategyV2"])
def test_strategies_for_several_hosts_are_refused_with_the_issue(name):
    strategy = type(name, (), {"__module__": "tensorflow.python.distribute"})()
    with pytest.raises(InputError, match=rf"{name}: .*issues/20585.*KERAS_BACKEND=jax"):
        kft.distribution.resolve(strategy)


def test_a_cluster_in_tf_config_is_refused(monkeypatch):
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(InputError, match=r"TF_CONFIG: .*issues/20585"):
        kft.distribution.resolve("data_parallel")
    assert kft.distribution.resolve("none") is None


def test_auto_leaves_virtual_cpu_devices_alone():
    assert kft.distribution.resolve("auto") is None


def test_model_parallel_is_refused_where_keras_has_none():
    with pytest.raises(InputError, match="on JAX alone, and the backend is tensorflow"):
        kft.distribution.resolve(ModelParallel(2))


def test_a_bad_word_is_named():
    with (
        pytest.raises(InputError, match=r"`distribution='mirrored'`.*'none', 'data_parallel'"),
        kft.distribution.scope("mirrored"),
    ):
        pass


def test_a_recipe_in_a_scope_of_several_devices_is_refused(monkeypatch):
    monkeypatch.setattr("kft.distribution.model_copies.device_count", lambda: 4)
    with pytest.raises(InputError, match="scope of 4 devices"):
        TinyRecipe(num_classes=2).fit(bright_sides(16), verbose=0)


def scaling(**settings):
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.AdamW(**settings))


def test_an_optimizer_with_loss_scaling_keeps_what_does_not_decay():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(inputs))
    optimizer = scaling(weight_decay=0.1)
    optimizer.inner_optimizer.exclude_from_weight_decay(var_list=[model.layers[-1].bias])
    with spread(model, optimizer, DataParallel(1)) as (copy, remade):
        kernel, bias = copy.layers[-1].weights
        assert [decays(remade.inner_optimizer, one) for one in (kernel, bias)] == [True, False]


def test_clipping_inside_of_loss_scaling_is_refused_on_tensorflow(monkeypatch):
    monkeypatch.setattr("kft.backends.TensorFlow.replica_count", lambda self: 2)
    monkeypatch.setattr("kft.distribution.model_copies.device_count", lambda: 1)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    with (
        pytest.raises(InputError, match=r"`clipnorm=1.0`: with several devices on TensorFlow"),
        spread(model, scaling(clipnorm=1.0), DataParallel(1)),
    ):
        pass
