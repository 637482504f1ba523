"""Stages on several virtual devices have the same results as on one."""

import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import kft
from tests.small_images import DenseRecipe, bright_sides, encoded, export_answers, small_images

pytestmark = pytest.mark.once


def outcomes_of(script, backend, folder, *arguments):
    """Run a test script in a process on the backend, and return its JSON results."""
    out = folder / "outcomes.json"
    command = [sys.executable, "-m", f"tests.{script}", str(out), *arguments]
    environment = os.environ | {"KERAS_BACKEND": backend}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder for the runs on several devices, with one sub-folder per backend."""
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
    """Return the results of the same fits on one device and on several virtual ones."""
    return request.getfixturevalue(request.param)


def assert_equal(several, one, *, but=(), within=1e-5):
    """Assert that weights and history are equal within a tolerance."""
    for ours, theirs in zip(several["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=within)
    assert several["history"].keys() == one["history"].keys()
    for name in several["history"].keys() - set(but):
        expected = one["history"][name]
        np.testing.assert_allclose(several["history"][name], expected, atol=within, err_msg=name)


def test_a_run_of_four_devices_goes_on_with_two_and_ends_as_on_one(outcomes):
    """Tested with an uneven last batch, trained BatchNorm, and a crash within an epoch."""
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
    """JAX does not pad; on TensorFlow the error suggests a batch size that needs no padding."""
    assert on_jax["tiny last batch, trained norms"] == "trained"
    said = on_tensorflow["tiny last batch, trained norms"]
    assert "the last of 18 examples in batches of 8 has 2, fewer than the 4 replicas" in said
    assert "pass batch_size=4, " not in said  # which also leaves 2
    assert "pass batch_size=12, " in said


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_run_of_several_devices_answers_alike_when_it_is_loaded(folder, request, backend):
    """Also on another backend; an export reads the same files."""
    expected = request.getfixturevalue(f"on_{backend}")["four, then two"]["predicted"]
    loaded = kft.load(folder / backend / "run", recipe=DenseRecipe)
    found = loaded.predict(encoded(small_images(3)[0])).scores
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_mixed_precision_trains_as_on_one_device(on_jax):
    """Equal up to rounding in half precision, which depends on the order of sums."""
    assert_equal(on_jax["two, bfloat16"], on_jax["one, bfloat16"], within=1e-3)


def test_an_overflow_on_one_device_skips_the_step_on_all_and_lowers_the_loss_scale(outcomes):
    several, one = outcomes["two, scaled"], outcomes["one, scaled"]
    assert one["scales"] == [[2.0**14], [2.0**15], [2.0**14], [2.0**13]]
    assert several["scales"] == [scale * 2 for scale in one["scales"]]
    assert_equal(several, one, but=["loss"], within=1e-3)


def test_a_plain_fit_in_a_scope_ends_as_on_one_device(outcomes):
    """Tested with clipped gradients."""
    assert outcomes["two, plain"]["devices"] == 2
    assert_equal(outcomes["two, plain"], outcomes["one, plain"])


def test_a_solved_head_is_the_same_on_two_devices(outcomes):
    assert_equal(outcomes["two, solved"], outcomes["one, solved"])


def test_a_machine_is_measured_on_its_devices(outcomes):
    measured = outcomes["two, measured"]
    assert measured["computed"] == 22 + 10
    assert_equal(measured, outcomes["one, head"])


def test_a_trial_on_two_devices_scores_as_on_one(outcomes):
    scores = [outcomes[name]["score"] for name in ("two, tuned", "one, tuned")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_a_model_built_before_the_scope_is_refused(outcomes):
    assert "is on one device, but the scope has 4" in outcomes["built too early"]


def test_an_optimizer_from_outside_of_the_scope_trains_or_is_refused(on_jax, on_tensorflow):
    """On JAX optimizers have no scope; on TensorFlow Keras explains the error."""
    assert_equal(on_jax["optimizer from outside"], on_jax["one, plain"])
    assert "Mixing different tf.distribute.Strategy" in on_tensorflow["optimizer from outside"]


def test_fit_in_stages_trains_on_jax_and_is_refused_on_tensorflow(on_jax, on_tensorflow):
    assert on_jax["in stages"] == "trained"
    assert "would weigh an uneven batch wrongly" in on_tensorflow["in stages"]


def test_two_processes_with_jax_train_as_one(on_jax, tmp_path):
    """Tested over loopback; only the first writes files, and computes frozen features for both."""
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
    """The widest kernel is split, and the head if a layout says so."""
    found, parts = in_parts[f"images, {name}"], {"two": 2, "four": 4}[name]
    assert_equal(found, in_parts["images, one"])
    assert found["computed"] == 14 + 4  # frozen features are computed once
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
