"""Tasks written from the documentation alone keep the contract of kft's own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kft.testing import STEPS, check_task
from kft.testing.families import save_tiny_bert
from tests.outsider.answers import columns
from tests.outsider.cases import CASES, recipe_of

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"export", "tune"}
HERE = {"plan", "cache", "resume", "outcome"}

# A map on each backend; tests/contracts/test_recipes.py has kft's own tags, which are trained alike.
EVERYWHERE = ("mask",)
ONCE = [pytest.param(name, marks=pytest.mark.once) for name in CASES if name not in EVERYWHERE]


@pytest.mark.parametrize("name", [*EVERYWHERE, *ONCE])
def test_it_trains_resumes_and_answers(name):
    task, data = CASES[name]
    check_task(task, data, leave_out=ELSEWHERE)


# All of its steps pass there, and take 40 s.
@pytest.mark.once("tensorflow")
def test_the_next_token_is_learnt_on_tensorflow_too():
    task, data = CASES["next"]
    check_task(task, data, leave_out=STEPS.keys() - {"outcome"})


@pytest.mark.once
@pytest.mark.parametrize("name", CASES)
def test_it_is_exported_and_searched(name):
    task, data = CASES[name]
    check_task(task, data, leave_out=HERE)


def output_of(module, *arguments, backend):
    """What a module of this package prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.outsider.{module}", *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert") / "preset")


@pytest.mark.once
def test_killed_twice_it_ends_with_the_same_bits(preset, tmp_path):
    lines = output_of("killed", tmp_path, preset, backend="torch").splitlines()
    found = [json.loads(line) for line in lines]
    killed = -signal.SIGKILL
    # Nine steps; the last process begins with the epoch that it resumes in, the second of three.
    processes = [(0, 9), (killed, 3), (killed, 6), (0, 6)]
    assert found == [[name, *one] for name in CASES for one in processes]
    for name in CASES:
        for file in ("weights.safetensors", "history.json"):
            whole, resumed = (tmp_path / f"{name}-{end}" / file for end in ("whole", "killed"))
            assert whole.read_bytes() == resumed.read_bytes(), (name, file)


# What is saved on the other backends is saved by the same code; tests/family/test_saving.py saves there.
@pytest.mark.once
@pytest.mark.parametrize("other", ["tensorflow", "jax"])
def test_saved_on_pytorch_it_answers_the_same_on(other, preset, tmp_path):
    ours = {}
    for name in CASES:
        recipe = recipe_of(name, preset)
        recipe.learn(recipe.read(CASES[name][1]))
        move_weights(recipe.model)
        recipe.save(tmp_path / name)
        ours[name] = columns(recipe, name)
    theirs = json.loads(output_of("answers", tmp_path, backend=other).splitlines()[-1])
    assert_alike(theirs, ours)


def move_weights(model):
    """Give a model other weights than a new one has, so that only the saved ones answer alike."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            weight.assign(weight + rng.normal(0, 0.1, weight.shape).astype("float32"))


def assert_alike(one, other):
    """Trees of lists, numbers and strings are equal up to the rounding of float32."""
    if isinstance(other, dict):
        assert one.keys() == other.keys()
        for key in other:
            assert_alike(one[key], other[key])
    elif other and isinstance(other, list) and isinstance(other[0], (dict, str)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_alike(*pair)
    elif isinstance(other, str):
        assert one == other
    else:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
