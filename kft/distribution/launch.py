"""Launching several processes on this machine that train one model, and supervising them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from kft.backends.cores import cores
from kft.errors import RESUMABLE, InputError

STORE = "KFT_PROCESSES_STORE"  # path of the file through which the processes find each other


def launched() -> bool:
    """Return whether `launch` started this process, rather than a person or torchrun."""
    return STORE in os.environ


def no_processes(name: str) -> InputError:
    """Return the error for several processes with a backend that needs only one."""
    return InputError(
        f"--processes is for PyTorch, and the backend is {name}, which uses all devices of a machine "
        "in one process: leave it out, or set KERAS_BACKEND=torch."
    )


def started() -> int:
    """Return how many processes `launch` or torchrun started together, including this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def prints_for_all() -> bool:
    """Return whether this process prints for all that were started together."""
    return os.environ.get("RANK", "0") == "0"


def launch(
    command: Sequence[str],
    processes: int,
    environment: Mapping[str, str] | None = None,
    grace: float = 15.0,
) -> int:
    """Run a command in several processes that train together, and supervise them.

    They find each other through a file and communicate over the loopback interface, so nothing
    listens to the network. The first one prints; of the others only the last output of the first to
    fail is shown. If one fails, the rest get some seconds to end, and are then killed. SIGTERM and
    SIGINT are passed on.

    Args:
        command: The program and its arguments.
        processes: The number of processes.
        environment: Their environment variables. Defaults to those of this process.
        grace: Seconds for the others to end by themselves after one has failed. Defaults to 15.

    Returns:
        The exit code: 0 if all succeeded, otherwise that of the first that failed, or 1 if a signal
        ended it.

    Raises:
        InputError: If `processes` is below 1.
    """
    if processes < 1:
        raise InputError(f"`processes={processes!r}`: pass how many, 1 or more.")
    with tempfile.TemporaryDirectory(prefix="kft-processes-") as folder:
        running: list[subprocess.Popen[bytes]] = []
        logs = [Path(folder) / f"{place}.log" for place in range(processes)]
        with _signals_passed_on(running), contextlib.ExitStack() as files:
            for place in range(processes):
                quiet: IO[bytes] | None = None
                if place:
                    quiet = files.enter_context(logs[place].open("wb"))
                started = subprocess.Popen(
                    list(command),
                    env=_environment(environment, place, processes, Path(folder)),
                    stdout=quiet,
                    stderr=quiet,
                )
                running.append(started)
            failed = _watch(running, grace)
        if failed is None:
            return 0
        code = running[failed].returncode
        if code == RESUMABLE:
            return code  # the first process has printed why
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        if failed:
            sys.stderr.write(_last_words(logs[failed]))
        sys.stderr.write(
            f"kft: process {failed} of {processes} ended {how}; the others were stopped.\n"
        )
        return code if code > 0 else 1


def _watch(running: list[subprocess.Popen[bytes]], grace: float) -> int | None:
    """Wait for all processes to end; return the index of the first that failed, None if none did."""
    failed: int | None = None
    deadline = float("inf")
    try:
        while any(one.poll() is None for one in running):
            if failed is None:
                failed = next((i for i, one in enumerate(running) if one.poll()), None)
                if failed is not None:
                    deadline = time.monotonic() + grace
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
            one.wait()
    if failed is None:
        failed = next((i for i, one in enumerate(running) if one.returncode), None)
    return failed


def _environment(
    given: Mapping[str, str] | None, place: int, processes: int, folder: Path
) -> dict[str, str]:
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    return {
        "OMP_NUM_THREADS": str(max(cores() // processes, 1)),
        **(os.environ if given is None else given),
        "RANK": str(place),
        "LOCAL_RANK": str(place),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_IFNAME": loopback,
        STORE: str(folder / "store"),
    }


@contextlib.contextmanager
def _signals_passed_on(running: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass SIGTERM on to the processes; a terminal sends SIGINT to them itself."""

    def pass_on(number: int, frame: object) -> None:
        for one in running:
            if number == signal.SIGTERM and one.poll() is None:
                one.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_words(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return "".join(f"{line}\n" for line in lines[-20:])
