"""Several processes on PyTorch train like one, agree in every step, and end together."""

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

import kft
from kft.cli import processes
from kft.distribution.launch import launch
from tests.small_images import TinyRecipe, bright_sides, encoded, export_answers

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return the folder with the results of the fits of `processes_on_torch.py`."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    done = subprocess.run(
        [sys.executable, "-m", "tests.processes_on_torch", str(folder), port],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "torch"},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def outcome(ran):
    return json.loads((ran / "outcome.json").read_text())


def said(ran, name, place):
    path = ran / f"{name}-{place}.txt"
    return path.read_text() if path.exists() else ""


def read(ran, name):
    return json.loads((ran / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("plain-1", "plain-2"),
        ("plain-1", "plain-4"),
        ("scaled-1", "scaled-2"),
        ("solved-1", "solved-2"),
        ("recipe-1", "recipe-4"),
        ("recipe-1", "recipe-2"),  # killed during the fit, see below
    ],
)
def test_several_processes_train_what_one_does(ran, outcome, one, several):
    count = int(several[-1])
    assert outcome[several]["codes"] == [0] * count, said(ran, several, 0)
    weights, expected = np.load(ran / f"{several}.npz"), np.load(ran / f"{one}.npz")
    for name in expected.files:
        np.testing.assert_allclose(weights[name], expected[name], atol=1e-5, err_msg=name)
    history, as_expected = read(ran, several), read(ran, one)
    assert history.keys() == as_expected.keys()
    for name in as_expected:
        np.testing.assert_allclose(history[name], as_expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_two_processes_train_in_mixed_precision_what_one_does(ran, outcome, precision):
    """If the gradients of one overflow, both skip the step and lower the loss scale."""
    assert outcome[f"{precision}-2"]["codes"] == [0, 0], said(ran, f"{precision}-2", 0)
    alone = read(ran, f"{precision}-1-scales-0")
    assert alone == ([2.0**15, 2.0**14, 2.0**13] if precision == "mixed_float16" else [1.0] * 3)
    for place in range(2):
        assert read(ran, f"{precision}-2-scales-{place}") == alone
    weights, expected = (np.load(ran / f"{precision}-{count}.npz") for count in (2, 1))
    for name in expected.files:
        np.testing.assert_allclose(weights[name], expected[name], atol=1e-3, err_msg=name)


def test_all_stages_were_trained_and_weights_have_moved(ran):
    assert read(ran, "plain-1")["stage"] == [1, 1, 2, 3, 3]
    assert read(ran, "recipe-1")["stage"] == [1, 1, 2, 3, 3]
    assert read(ran, "plain-1")["loss"][-1] < read(ran, "plain-1")["loss"][0]


@pytest.mark.parametrize("count", [2, 4])
def test_each_example_is_seen_once_an_epoch_by_one_process(ran, outcome, count):
    ledgers = [read(ran, f"plain-{count}-ledger-{place}") for place in range(count)]
    alone = read(ran, "plain-1-ledger-0")
    for epoch, order in enumerate(alone):
        parts = [ledger[epoch] for ledger in ledgers]
        assert all(parts)
        assert sorted(itertools.chain(*parts)) == sorted(order) == list(range(53))
    assert alone[0] != alone[1]  # shuffled again, identically in all processes


def test_the_metrics_are_those_of_all_examples_in_every_process(ran):
    alone = read(ran, "plain-1-scores-0")
    for place in range(4):
        scores = read(ran, f"plain-4-scores-{place}")
        assert scores == pytest.approx(alone, abs=1e-6)


def test_dropout_is_another_one_in_each_process_and_the_same_again(ran, outcome):
    first, second = (read(ran, f"dropping-a-masks-{place}") for place in range(2))
    assert len(first) == 2 * 2 * 3  # layers, epochs, steps
    assert len({str(mask) for mask in (*first, *second)}) == 2 * len(first)
    assert first == read(ran, "dropping-b-masks-0")
    assert second == read(ran, "dropping-b-masks-1")


def test_a_signal_to_one_process_stops_all_with_one_commit(ran, outcome):
    assert outcome["stopped"]["codes"] == [75, 75]


def test_processes_slow_down_alike_after_each_nan(ran, outcome):
    assert outcome["slowed"]["codes"] == [0, 0], said(ran, "slowed", 0)
    for place in range(2):
        rates = read(ran, f"slowed-rates-{place}")
        assert rates["logged"] == pytest.approx([1e-2, 5e-3, 2.5e-3, 2.5e-3])
        # The first step copies the first process' optimizer to all; these are the rates before it.
        assert rates["own"] == pytest.approx([1e-2] * 3 + [5e-3] * 3 + [2.5e-3] * 2)


def test_processes_that_lose_one_end_soon_and_say_so(ran, outcome):
    assert outcome["killed"]["codes"] == [2, 2, -9, 2]
    assert outcome["killed"]["seconds"] < 30
    for place in (0, 1, 3):
        assert f"Process {place} of 4 has lost the others" in said(ran, "killed", place)
        assert "resumes from the newest commit" in said(ran, "killed", place)


def test_one_process_writes_the_run(ran):
    names = {path.name for path in (ran / "four").rglob("*") if path.is_file()}
    expected = {path.name for path in (ran / "one").rglob("*") if path.is_file()}
    assert names == expected
    assert not list(ran.glob(".four*"))
    kept = [len(list((ran / name / "features").iterdir())) for name in ("one", "four")]
    assert kept[0] == kept[1] > 0


def test_one_process_exports_and_the_others_wait_for_it(ran, outcome):
    version = ran / "serving" / "1"
    assert [path.name for path in version.parent.iterdir()] == ["1"]
    for place in range(4):
        assert read(ran, f"recipe-4-version-{place}") == str(version)
    inputs = encoded(bright_sides(3)[0])
    expected = kft.load(ran / "four", recipe=TinyRecipe).predict(inputs).scores
    np.testing.assert_allclose(export_answers(version, inputs), expected, atol=1e-5)


def test_a_process_reads_its_part_of_the_batches(ran):
    alone = read(ran, "recipe-1-loaded-0")
    for place in (1, 2, 3):  # the first also computes the features
        assert read(ran, f"recipe-4-loaded-{place}") < alone / 2


def test_a_wrapper_that_went_stale_when_a_stage_opened_layers_is_caught(ran, outcome):
    assert outcome["wrapper"]["codes"] == [2, 2]
    for place in range(2):
        expected = "KftError: The copies of the model have drifted apart after step 1 of epoch 3: "
        assert said(ran, "wrapper", place).startswith(f"{expected}block1/kernel is the first")


def test_processes_with_other_data_are_caught(ran, outcome):
    assert outcome["order"]["codes"] == [2, 2]
    assert "given different batches in step 1 of epoch 1" in said(ran, "order", 0)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("step", "overrides `train_step`"),
        ("loss", "`reduction='sum'` of sparse_categorical_crossentropy"),
        ("jit", "`jit_compile=True`"),
        ("backup", "pass kft.callbacks.RunCheckpoint"),
        ("search", "`tune` was called in 2 processes"),
        ("norm", "block1_bn is a BatchNormalization that trains"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_the_reason(ran, outcome, what, why):
    assert outcome["refused"]["codes"] == [0, 0], said(ran, "refused", 0)
    assert why in read(ran, "refused")[what]


@pytest.mark.parametrize(
    ("work", "code", "says"),
    [
        ("pass", 0, ""),
        (
            "sys.exit(3 if place == 1 else time.sleep(60))",
            3,
            "process 1 of 3 ended with exit code 3",
        ),
        (
            "os.kill(os.getpid(), 9 if place == 2 else 0); time.sleep(60 * (place != 2))",
            1,
            "by SIGKILL",
        ),
        ("sys.exit(75)", 75, ""),
    ],
)
def test_the_launcher_ends_with_the_first_that_failed(capfd, work, code, says):
    script = f"import os, sys, time; place = int(os.environ['RANK']); print(place); {work}"
    assert launch([sys.executable, "-S", "-c", script], 3, grace=0.2) == code
    captured = capfd.readouterr()
    assert captured.out in ("0\n", "")
    assert says in captured.err


def test_the_command_starts_itself_in_several_processes(monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["kft", "--version"])
    with pytest.raises(typer.Exit) as ended:
        processes.start(3)
    assert ended.value.exit_code == 0
    assert capfd.readouterr().out == f"{kft.__version__}\n"
    monkeypatch.setattr(sys, "argv", ["kft", "nothing"])
    with pytest.raises(typer.Exit) as ended:
        processes.start(2)
    assert ended.value.exit_code == 2
