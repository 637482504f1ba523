"""The parts of a job's tests run in processes that are forked once the tests are collected.

Importing the backends and collecting the tests takes as long as many tests; `run_all.py` asks the process
that has done so for one part after another.
"""

import json
import os
import socket
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest


class Request(NamedTuple):
    """A part of the tests, the number of parts, and the file for what pytest prints, if any."""

    part: int
    parts: int
    log: str | None


class Parts:
    """A plugin that forks a process for each part that is asked for.

    Args:
        requests: The socket with one message per part, which comes with a pipe for the exit code.
    """

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Return in the forked processes, in which pytest goes on with their part."""
        if session.testsfailed:  # in collecting, which pytest reports
            return
        refuse_started_backends()
        request = self._next()
        if request is None:
            os._exit(0)
        if request.log:
            _print_to(request.log, session.config)
        os.environ["KFT_TEST_PART"] = str(request.part)
        session.items[:] = part_of(session.items, request.part, request.parts)
        session.testscollected = len(session.items)

    def _next(self) -> Request | None:
        """Return a request in a process of its own, or None once there are no more."""
        while True:
            data, answers, _, _ = socket.recv_fds(self._requests, 4096, 1)
            if not data:
                return None
            if os.fork() == 0:
                worker = os.fork()
                if worker == 0:
                    os.close(answers[0])
                    self._requests.close()
                    return Request(**json.loads(data))
                _answer(worker, answers[0])
            os.close(answers[0])


def _answer(worker: int, number: int) -> None:
    """Wait for a process, send its exit code, and end this process."""
    try:
        _, status = os.waitpid(worker, 0)
        os.write(number, str(os.waitstatus_to_exitcode(status)).encode())
    finally:
        os._exit(0)


def _print_to(path: str, config: pytest.Config) -> None:
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    with open(path, "wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    capture.start_global_capturing()
    capture.suspend_global_capture()


def refuse_started_backends() -> None:
    """Refuse to fork a process in which TensorFlow or JAX has threads, which a fork would lack."""
    names = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
    if any(name.startswith("tf_") for name in names):
        raise pytest.UsageError(
            "a test's module started TensorFlow or JAX while it was imported, so the processes of the "
            "parts cannot be forked: make its tensors when the tests run (tests/later.py)"
        )


def part_of(items: list[pytest.Item], part: int, parts: int) -> list[pytest.Item]:
    """Return a part of the tests: whole files, and about as many tests as in the other parts."""
    chosen, before = set(), 0
    for path, count in Counter(item.path for item in items).items():
        if before * parts // len(items) == part:
            chosen.add(path)
        before += count
    return [item for item in items if item.path in chosen]
