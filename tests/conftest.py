"""Shared fixtures: the seed, no network, and the summaries that run_all.py compares."""

import contextlib
import functools
import gc
import itertools
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
import typer
from hypothesis import settings
from PIL import Image
from tensorflow.python.eager import context

from kft.cli import main
from kft.export import launch
from tests import warm
from tests.parts import Parts

settings.register_profile("kft", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("kft")

BACKEND = keras.backend.backend()
# Set by run_all.py: the name of this process, and the folder for its summary.
JOB = os.environ.get("KFT_TEST_JOB", BACKEND)
SUMMARIES = os.environ.get("KFT_TEST_SUMMARIES")
LEFT_OUT: list[str] = []
KERNELS_KEPT = 25  # tests; all tests together would take gigabytes
_ENDED = itertools.count(1)

# Optimizing the graphs of such small models takes a fifth of the time and saves none; TensorFlow reads
# texts and images on all backends.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# Building the commands from their functions takes longer than most of what tests call them for.
typer.main.get_command = functools.cache(typer.main.get_command)

_connect = socket.socket.connect
_resolve = socket.getaddrinfo


def _is_local(host: object) -> bool:
    return host is None or str(host) in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")


def _connect_locally(self: socket.socket, address: tuple) -> None:
    if self.family != socket.AF_UNIX and not _is_local(address[0]):
        raise ConnectionRefusedError(f"the tests have no network, and {address!r} is not local")
    return _connect(self, address)


def _resolve_locally(host, *args, **kwargs):
    if not _is_local(host):
        raise socket.gaierror(f"the tests have no network, and {host!r} is not local")
    return _resolve(host, *args, **kwargs)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tests that need the network fail at once on every machine."""
    monkeypatch.setattr(socket.socket, "connect", _connect_locally)
    monkeypatch.setattr(socket, "getaddrinfo", _resolve_locally)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Seed each test, so that it does not depend on the tests before it."""
    keras.utils.set_random_seed(0)
    yield
    with contextlib.nullcontext() if next(_ENDED) % KERNELS_KEPT == 0 else _kernels_kept():
        keras.utils.clear_session(free_memory=False)  # a full collection costs half a second


def _kernels_kept() -> contextlib.AbstractContextManager:
    """Keep TensorFlow's kernels in `clear_session`.

    Keras frees them on TensorFlow, so that the functions that decode images and tokenize texts, which are
    traced once per process, were instantiated for each test, which takes half a second.
    """
    return mock.patch.object(context.context(), "clear_kernel_cache")


def runs_here(item: pytest.Item) -> bool:
    """Return whether a test belongs to this process: see `once` in pyproject.toml."""
    once = item.get_closest_marker("once")
    if once is None:
        return JOB != "once"
    if not once.args:
        return JOB == "once"
    return JOB != "once" and once.args == (BACKEND,)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave each test to its process of `run_all.py`; without one, TensorFlow runs all."""
    if BACKEND == "tensorflow" and "KFT_TEST_JOB" not in os.environ:
        return
    here, others = [], []
    for item in items:
        (here if runs_here(item) else others).append(item)
    LEFT_OUT.extend(item.nodeid for item in others)
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = here


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which tests were left to other processes, and how to run all."""
    if not LEFT_OUT or "KFT_TEST_JOB" in os.environ:
        return
    files = list(dict.fromkeys(name.partition("::")[0] for name in LEFT_OUT))
    shown = " ".join(files[:5]) + (" ..." if len(files) > 5 else "")
    terminalreporter.write_line(
        f"{len(LEFT_OUT)} tests of {shown} were left out: they say nothing about the backend "
        f"{BACKEND}, or need another one. To run all: python tests/run_all.py {' '.join(files[:5])}"
    )


def pytest_collection_finish() -> None:
    """Exclude the half million objects of imported modules from later garbage collections."""
    gc.collect()
    gc.freeze()


class _Summary:
    """A plugin that counts outcomes and collects the passed tests that every backend must run."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0
        self.shared: list[str] = []
        self.once: set[str] = set()

    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        if item.get_closest_marker("once"):
            self.once.add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            self.skipped += 1
        elif report.failed:
            self.failed += 1
        elif report.when == "call":
            self.passed += 1
            if report.nodeid not in self.once:
                self.shared.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        counts = {"passed": self.passed, "failed": self.failed, "skipped": self.skipped}
        path = Path(SUMMARIES, f"{JOB}-{os.environ['KFT_TEST_PART']}.json")
        path.write_text(json.dumps({**counts, "shared": self.shared}))


def pytest_configure(config: pytest.Config) -> None:
    """Start exports with their imports done, and do what run_all.py asks for."""
    launch.subprocess = warm.Exports
    warm.ADDRESSES.update(json.loads(os.environ.pop("KFT_TEST_SERVERS", "{}")))
    if SUMMARIES:
        config.pluginmanager.register(_Summary(), "kft-summary")
    if requests := os.environ.pop("KFT_TEST_REQUESTS", None):
        config.pluginmanager.register(Parts(socket.socket(fileno=int(requests))), "kft-parts")


@pytest.fixture
def cli(monkeypatch, capsys):
    """Return a function that runs a command in this process and returns exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["kft", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Return a folder of two classes of different colours, with 10 images each."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (folder / name).mkdir()
        for index in range(10):
            pixels = random.integers(0, 60, (16, 16, 3), dtype="uint8")
            pixels[..., channel] += 150
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder
