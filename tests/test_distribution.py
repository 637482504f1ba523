"""Replicas agree: stages on several virtual devices end where they end on one."""

import ast
import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import pytest

import kft
from kft.distribution import DataParallel, ModelParallel
from kft.distribution.spreading import spread
from kft.errors import InputError
from kft.optimizers import decays
from tests.small_images import bright_sides, encoded, export_answers, small_images

pytestmark = pytest.mark.once("tensorflow")


def outcomes_of(script, backend, folder, *arguments):
    """What a script of this directory writes as JSON, in a process on the backend."""
    out = folder / "outcomes.json"
    command = [sys.executable, "-m", f"tests.{script}", str(out), *arguments]
    environment = os.environ | {"KERAS_BACKEND": backend}
    root = Path(__file__).parent.parent
    done = subprocess.run(command, env=environment, cwd=root, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(out.read_text())


def test_the_private_function_of_keras_is_that_of_3_15():
    """`kft.distribution.on_jax` replaces it (seen in 3.15.1): look again when this fails."""
    assert version("keras").startswith("3.15.")
    source = Path(keras.__file__).parent / "src" / "backend" / "jax" / "distribution_lib.py"
    (found,) = [
        node
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "distribute_data_input"
    ]
    names = [argument.arg for argument in found.args.args]
    assert names == ["per_process_batch", "layout", "batch_dim_name"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the fits on several devices leave their runs, in a folder a backend."""
    folder = tmp_path_factory.mktemp("fits")
    for name in ("jax", "tensorflow", "parts"):
        (folder / name).mkdir()
    return folder


@pytest.fixture(scope="module")
def on_jax(folder):
    return outcomes_of("several_devices", "jax", folder / "jax", "4")


@pytest.fixture(scope="module")
def on_tensorflow(folder):
    return outcomes_of("several_devices", "tensorflow", folder / "tensorflow", "4")


@pytest.fixture(scope="module")
def in_parts(folder):
    return outcomes_of("model_parallel", "jax", folder / "parts")


@pytest.fixture(params=["on_jax", "on_tensorflow"])
def outcomes(request):
    """What came out of the same fits on one device and on several virtual ones."""
    return request.getfixturevalue(request.param)


def assert_equal(several, one, *, but=(), within=1e-5):
    """Weights and history are equal within a tolerance."""
    for ours, theirs in zip(several["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=within)
    assert several["history"].keys() == one["history"].keys()
    for name in several["history"].keys() - set(but):
        expected = one["history"][name]
        np.testing.assert_allclose(several["history"][name], expected, atol=within, err_msg=name)


def test_a_run_of_four_devices_goes_on_with_two_and_ends_as_on_one(outcomes):
    """With an uneven last batch, trained BatchNorm, and a crash in the middle of an epoch."""
    several, one = outcomes["four, then two"], outcomes["one"]
    assert_equal(several, one)
    np.testing.assert_allclose(several["predicted"], one["predicted"], atol=1e-5)
    assert several["evaluated"] == one["evaluated"]
    assert several["trainable"] == one["trainable"]


def test_a_last_batch_smaller_than_the_devices_trains_as_on_one(outcomes):
    several, one = outcomes["two, tiny last batch"], outcomes["one, tiny last batch"]
    filled = ("loss", "accuracy") if several["backend"] == "tensorflow" else ()
    assert_equal(several, one, but=filled)
    assert several["evaluated"] == one["evaluated"]


def test_what_would_fill_a_last_batch_never_enters_trained_batch_norm(on_jax, on_tensorflow):
    """JAX fills none; on TensorFlow a batch size is named that needs no filling."""
    assert on_jax["tiny last batch, trained norms"] == "trained"
    said = on_tensorflow["tiny last batch, trained norms"]
    assert "the last of 18 examples in batches of 8 has 2, fewer than the 4 replicas" in said
    assert "pass batch_size=4, " not in said  # which leaves 2 as well
    assert "pass batch_size=12, " in said


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_run_of_several_devices_answers_alike_when_it_is_loaded(folder, request, backend):
    """On another backend too; an export reads the same files."""
    expected = request.getfixturevalue(f"on_{backend}")["four, then two"]["predicted"]
    loaded = kft.load(folder / backend / "run")
    found = loaded.predict(encoded(small_images(3)[0])).scores
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_mixed_precision_trains_as_on_one_device(outcomes):
    """Within the rounding of the small type, which differs with the order of the sums."""
    assert_equal(outcomes["two, bfloat16"], outcomes["one, bfloat16"], within=1e-3)


def test_an_overflow_on_one_device_skips_the_step_on_all_and_lowers_the_loss_scale(outcomes):
    several, one = outcomes["two, scaled"], outcomes["one, scaled"]
    assert one["scales"] == [[2.0**14], [2.0**15], [2.0**14], [2.0**13]]
    assert several["scales"] == [scale * 2 for scale in one["scales"]]
    assert_equal(several, one, but=["loss"], within=1e-3)


def test_a_plain_fit_in_a_scope_ends_as_on_one_device(outcomes):
    """Also where gradients are clipped."""
    assert outcomes["two, plain"]["devices"] == 2
    assert_equal(outcomes["two, plain"], outcomes["one, plain"])


def test_a_trial_on_two_devices_scores_as_on_one(outcomes):
    scores = [outcomes[name]["score"] for name in ("two, tuned", "one, tuned")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_a_model_built_before_the_scope_is_refused(outcomes):
    assert "is on one device, but the scope has 4" in outcomes["built too early"]


def test_an_optimizer_from_outside_of_the_scope_trains_or_is_refused(on_jax, on_tensorflow):
    """JAX knows no such thing as an optimizer's scope; on TensorFlow Keras says what is wrong."""
    assert_equal(on_jax["optimizer from outside"], on_jax["one, plain"])
    assert "Mixing different tf.distribute.Strategy" in on_tensorflow["optimizer from outside"]


def test_fit_in_stages_trains_on_jax_and_is_refused_on_tensorflow(on_jax, on_tensorflow):
    assert on_jax["in stages"] == "trained"
    assert "would weigh an uneven batch wrongly" in on_tensorflow["in stages"]


def test_two_processes_with_jax_train_as_one(on_jax, tmp_path):
    """Over loopback; the first one alone writes, and computes frozen features for both."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(outcomes_of, "several_devices", "jax", folder, "1", address, str(index))
            for index, folder in enumerate(folders)
        ]
        first, second = (job.result()["auto"] for job in jobs)
    assert_equal(first, on_jax["one"])
    assert_equal(second, on_jax["one"])
    assert [first["computed"], second["computed"]] == [22 + 10, 0]
    assert (folders[0] / "run" / "recipe.json").is_file()
    assert not (folders[1] / "run").exists()


def test_a_bert_in_parts_trains_as_a_whole_one(in_parts):
    kernel = "feedforward_intermediate_dense/kernel"
    found = in_parts["bert, four"]
    assert_equal(found, in_parts["bert, one"])
    cut = [
        shape
        for path, shape in found["shards"].items()
        if re.search("feedforward_intermediate_dense.kernel", path)
    ]
    assert cut == [[8, 16 // 4]] * 3, "the kernel and both of its slots"
    assert f"Cut in 4: transformer_layer_*/{kernel} (8 x 16/4)" in found["plan"]


@pytest.mark.parametrize(
    ("name", "cut"),
    {
        "by the rules": ("four", {"block3_conv": "block3_conv/kernel (1 x 1 x 256 x 256/4)"}),
        "by a layout": (
            "two",
            {
                "block3_conv": "block3_conv/kernel (1 x 1 x 256 x 256/2)",
                "predictions": "predictions/kernel (256 x 4/2)",
            },
        ),
    }.values(),
)
def test_a_convolutional_network_in_parts_trains_as_a_whole_one(in_parts, name, cut):
    """Its widest kernel, and its head where a layout says so."""
    found, parts = in_parts[f"images, {name}"], {"two": 2, "four": 4}[name]
    assert_equal(found, in_parts["images, one"])
    assert found["computed"] == 14 + 4  # features of what is frozen, once
    assert found["plan"].count(f"Cut in {parts}: ") == len(cut)
    for layer, shape in {"block3_conv": [1, 1, 256, 256], "predictions": [256, 4]}.items():
        held = [one for path, one in found["shards"].items() if re.search(f"{layer}.kernel", path)]
        part = [*shape[:-1], shape[-1] // parts] if layer in cut else shape
        assert held == [part] * 3, "the kernel and both of its slots"
    for line in cut.values():
        assert f"Cut in {parts}: {line}" in found["plan"]


def test_an_export_of_a_model_in_parts_answers_as_its_recipe(folder, in_parts):
    found = export_answers(
        folder / "parts" / "serving" / "1", encoded(bright_sides(14, classes=4)[0][:3])
    )
    np.testing.assert_allclose(found, in_parts["images, two"]["predicted"], atol=1e-5)


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
    from tests.small_images import TinyRecipe, bright_sides

    monkeypatch.setattr("kft.distribution.spreading.device_count", lambda: 4)
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
    monkeypatch.setattr("kft.distribution.on_tensorflow.replica_count", lambda: 2)
    monkeypatch.setattr("kft.distribution.spreading.device_count", lambda: 1)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    with (
        pytest.raises(InputError, match=r"`clipnorm=1.0`: with several devices on TensorFlow"),
        spread(model, scaling(clipnorm=1.0), DataParallel(1)),
    ):
        pass
