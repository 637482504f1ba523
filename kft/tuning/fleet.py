"""Workers on this machine, each a process that runs the command of its chief again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence, Set
from pathlib import Path

from kft.errors import InputError, KftError
from kft.runs.reading import last_lines
from kft.tuning.roles import ORACLE_IP, ORACLE_PORT, SECRET, TUNER_ID

LAUNCHED = "KFT_TUNE_LAUNCHED"
STARTS = 3  # of one worker without a trial in between
STOPPING = 20.0  # seconds that a worker has to commit its state


class Fleet:
    """Starts workers, starts those again that die, and stops them.

    A worker runs the command that this process was started with, so that it reads the same data and
    makes the same recipe; its environment makes it a worker. It ends when this process does.

    Args:
        count: How many workers.
        host: Where the chief listens.
        logs: A directory for what workers print.
        secret: What the chief knows them by; they get it by their environment.
        command: What they run. Defaults to the command of this process.

    Raises:
        InputError: If there is no command to run again, as in a notebook.
    """

    def __init__(
        self, count: int, host: str, logs: Path, secret: str, command: Sequence[str] | None = None
    ) -> None:
        scripted = hasattr(sys.modules["__main__"], "__file__") or "-c" in sys.orig_argv
        if command is None and not scripted:
            raise InputError(
                f"`workers={count}` run the script of this process again, but a notebook is none: "
                "put the search into a script, or use `kft tune --workers`."
            )
        self.command = list(command or [sys.executable, *sys.orig_argv[1:]])
        self.host, self.logs, self._secret = host, logs, secret
        self.names = [f"worker-{number}" for number in range(1, count + 1)]
        self._running: dict[str, subprocess.Popen] = {}
        self._starts: dict[str, list[float]] = {name: [] for name in self.names}
        self._gone: set[str] = set()
        self._port = 0

    def start(self, port: int) -> None:
        """Start all workers; the chief listens at this port."""
        self._port = port
        self.logs.mkdir(parents=True, exist_ok=True)
        for name in self.names:
            self._start(name)

    def look_after(self, told: Set[str]) -> set[str]:
        """Start workers again that have died.

        Args:
            told: names of workers that know that the search is over.

        Returns:
            The names of workers that are dead for good; one that is started again goes on with its
            trial.

        Raises:
            KftError: all of them are dead for good.
        """
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            _close(self._running.pop(name))
            if name in told:
                continue
            recent = [at for at in self._starts[name] if time.monotonic() - at < 300]
            if len(recent) < STARTS:
                self._start(name)
            else:
                self._gone.add(name)
        if len(self._gone) == len(self.names):
            log = self._log(self.names[0])
            raise KftError(f"all workers have died. The last lines of {log}:\n{last_lines(log, 5)}")
        return self._gone

    def all_ended(self) -> bool:
        """Whether no worker runs any more."""
        return all(process.poll() is not None for process in self._running.values())

    def stop(self) -> None:
        """End the workers that still run; they commit their state first."""
        running = list(self._running.values())
        for process in running:
            process.terminate()
        until = time.monotonic() + STOPPING
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)
        self._running.clear()

    def _start(self, name: str) -> None:
        self._starts[name].append(time.monotonic())
        given = {
            TUNER_ID: name,
            ORACLE_IP: self.host,
            ORACLE_PORT: str(self._port),
            SECRET: self._secret,
            LAUNCHED: "1",
        }
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                self.command,
                env={**os.environ, **given},
                stdin=subprocess.PIPE,  # it ends with this process, however that ends
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def _close(process: subprocess.Popen) -> None:
    assert process.stdin is not None
    process.stdin.close()
