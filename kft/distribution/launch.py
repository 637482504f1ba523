"""Several processes on this machine that train one model, and what happens when one of them ends."""

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

STORE = "KFT_PROCESSES_STORE"  # names the file by which the processes find each other


def launched() -> bool:
    """Whether `launch` has started this process, rather than a person or torchrun."""
    return STORE in os.environ


def started() -> int:
    """How many processes were started together with this one, by `launch` or torchrun, itself among them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def speaks() -> bool:
    """Whether this process prints for all that were started together."""
    return os.environ.get("RANK", "0") == "0"


def launch(
    command: Sequence[str],
    processes: int,
    environment: Mapping[str, str] | None = None,
    grace: float = 15.0,
) -> int:
    """Run a command in several processes that train together, and watch over them.

    They find each other by a file of their own and talk over the loopback interface, so that nothing
    listens to the network. The first one prints; of the others only what the first to fail said last
    is shown. Where one ends with an error, the rest are given some seconds to end too, and are then
    killed. SIGTERM and SIGINT are passed on.

    Args:
        command: The program and its arguments.
        processes: How many.
        environment: Variables for them. Defaults to this process' own.
        grace: Seconds for the others to end by themselves, once one has failed. Defaults to 15.

    Returns:
        The exit code: 0 if all have ended well, otherwise that of the first that has not, and 1 for
        one that a signal ended.

    Raises:
        InputError: `processes` is below 1.
    """
    if processes < 1:
        raise InputError(f"`processes={processes!r}`: pass how many, 1 or more.")
    with tempfile.TemporaryDirectory(prefix="kft-processes-") as folder:
        running: list[subprocess.Popen[bytes]] = []
        said = [Path(folder) / f"{place}.log" for place in range(processes)]
        with _signals_passed_on(running), contextlib.ExitStack() as files:
            for place in range(processes):
                quiet: IO[bytes] | None = None
                if place:
                    quiet = files.enter_context(said[place].open("wb"))
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
            return code  # the first process has said why
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        if failed:
            sys.stderr.write(_last_words(said[failed]))
        sys.stderr.write(
            f"kft: process {failed} of {processes} ended {how}; the others were stopped.\n"
        )
        return code if code > 0 else 1


def _watch(running: list[subprocess.Popen[bytes]], grace: float) -> int | None:
    """Waits for all to end; gives the place of the first that failed, None if none did."""
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
    """Passes SIGTERM on to the processes. A terminal gives them its SIGINT itself."""

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
