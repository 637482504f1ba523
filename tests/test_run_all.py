"""The test command detects a backend that ran fewer tests than the others."""

import json
import os
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tests.parts import part_of, refuse_started_backends
from tests.run_all import (
    JOBS,
    PARTS,
    XLA_FLAGS,
    Job,
    Process,
    compare,
    how_far,
    knows,
    processes_of,
    summary_of,
    table,
)

pytestmark = pytest.mark.once

SAME = {"torch": ["a", "b"], "jax": ["a", "b"], "tensorflow": ["a", "b"]}


def problems_of(folder, once=3, **passed):
    for name, tests in (SAME | passed).items():
        if tests is not None:
            summarize(folder, Process(name), tests)
    summarize(folder, Process("once"), [], passed=once)
    return compare([Process(job) for job in JOBS], folder)


def summarize(folder, process, shared, passed=None):
    counts = {"passed": len(shared) if passed is None else passed, "failed": 0, "skipped": 0}
    (folder / f"{process.file}.json").write_text(json.dumps({**counts, "shared": shared}))


def test_backends_that_ran_the_same_are_fine(tmp_path):
    assert problems_of(tmp_path) == []


@pytest.mark.parametrize(
    ("jax", "expected"),
    [
        (None, ["jax: wrote no summary, so it ran no tests"]),
        (["a"], ["jax: 1 tests ran on another backend only: b"]),
        ([], ["jax: no test passed", "jax: 2 tests ran on another backend only: a, b"]),
    ],
    ids=["ended early", "skipped one", "skipped all"],
)
def test_a_backend_that_ran_less_fails_the_command(tmp_path, jax, expected):
    assert problems_of(tmp_path, jax=jax) == expected


def test_tests_that_need_no_backend_have_to_run_somewhere(tmp_path):
    assert problems_of(tmp_path, once=0) == ["once: no test passed"]


def test_how_far_each_process_is(tmp_path):
    (tmp_path / "once-1.log").write_text(
        "tests/a.py ..s.F.    [ 50%]\n" + "." * 60 + "E.x [ 98%]\nsomething printed [100%]\n"
    )
    (tmp_path / "jax-0.log").write_text(".... [  4%]\n..")
    line = how_far([Process("once", 1, 2), Process("jax"), Process("torch")], tmp_path)
    assert line.partition(": ")[2] == "once 2/2 98 %, 2 failed; jax 4 %; torch 0 %"


def test_the_processes_of_a_job_count_together(tmp_path, monkeypatch):
    monkeypatch.setitem(PARTS, "torch", 1)
    monkeypatch.setitem(PARTS, "jax", 2)
    processes = processes_of(["torch", "jax"], whole=False)
    assert [str(one) for one in processes] == ["torch", "jax 1/2", "jax 2/2"]
    assert [str(one) for one in processes_of(["jax"], whole=True)] == ["jax"]
    torch, *jax = processes
    summarize(tmp_path, torch, ["a", "b"])
    summarize(tmp_path, jax[0], ["a"])
    assert compare(processes, tmp_path) == [
        "jax 2/2: wrote no summary, so it ran no tests",
        "jax: 1 tests ran on another backend only: b",
    ]
    summarize(tmp_path, jax[1], ["b"])
    assert compare(processes, tmp_path) == []
    assert summary_of("jax", tmp_path)["shared"] == ["a", "b"]
    assert table(["torch", "jax"], tmp_path).splitlines()[1] == "jax: 2 passed, 0 failed, 0 skipped"


def test_parts_have_all_tests_once_in_their_order_and_files_in_one_piece():
    counts = {"a": 1, "b": 50, "c": 2, "d": 30, "e": 17}
    items = [SimpleNamespace(path=file) for file, count in counts.items() for _ in range(count)]
    parts = [part_of(items, part, 3) for part in range(3)]
    assert [item for part in parts for item in part] == items
    files = [{item.path for item in part} for part in parts]
    assert files == [{"a", "b"}, {"c", "d"}, {"e"}]
    assert part_of(items, 0, 1) == items
    assert part_of([], 1, 2) == []


CONFTEST = """
import os, socket
from tests.parts import Parts

def pytest_configure(config):
    requests = socket.socket(fileno=int(os.environ["KFT_TEST_REQUESTS"]))
    config.pluginmanager.register(Parts(requests))
"""


def codes_of(folder, **modules):
    """Run each module as a part of its own; return the exit codes and the process of the job."""
    (folder / "conftest.py").write_text(CONFTEST)
    for name, text in modules.items():
        (folder / f"test_{name}.py").write_text(text)
    arguments = [f"--rootdir={folder}", "-c", os.devnull, str(folder)]
    with Job("once", folder, arguments, servers={}) as job:
        parts = [Process("once", part, len(modules)) for part in range(len(modules))]
        return [job.run(part) for part in parts], job


def test_parts_run_in_processes_of_their_own(tmp_path):
    alone = "seen = []\ndef test_{0}():\n    seen.append(print('{0} runs'))\n    assert {1}"
    codes, job = codes_of(tmp_path, a=alone.format("a", 1), b=alone.format("b", 0))
    assert codes == [0, 1]
    assert "collected 2 items" in job.output()
    assert "1 passed" in (tmp_path / "once-0.log").read_text()
    failed = (tmp_path / "once-1.log").read_text()
    assert "1 failed" in failed
    assert "b runs" in failed
    assert "a runs" not in failed


def test_tests_that_cannot_be_collected_fail_each_part(tmp_path):
    codes, job = codes_of(tmp_path, a="def test_a(): pass", b="import nothing_of_this_name")
    assert codes == [2, 2]
    assert "nothing_of_this_name" in job.output()


def test_no_process_is_forked_once_a_backend_has_threads():
    tf.constant(0)
    with pytest.raises(pytest.UsageError, match=r"tests/later\.py"):
        refuse_started_backends()


def test_flags_that_jax_does_not_know_are_noticed(capfd):
    assert knows(XLA_FLAGS)
    assert not knows(["--xla_of_another_release=true"])
    assert "does not know --xla_of_another_release=true" in capfd.readouterr().out
