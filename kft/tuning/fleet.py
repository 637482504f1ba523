"""Workers on this machine, each a process that runs the chief's command again."""

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
STARTS = 3  # of one worker within five minutes
STOPPING = 20.0  # seconds for a worker to commit its state


class Fleet:
    """Start workers, restart those that die, and stop them.

    A worker runs the command that this process was started with, so that it reads the same data and
    builds the same recipe; environment variables make it a worker. It ends with this process.

    Args:
        count: The number of workers.
        host: The address at which the chief listens.
        logs: A directory for the output of workers.
        secret: The shared secret, which workers get through their environment.
        command: The command of a worker. Defaults to that of this process.

    Raises:
        InputError: If there is no command to run again, as in a notebook.
    """

    def __init__(
        self, count: int, host: str, logs: Path, secret: str, command: Sequence[str] | None = None
    ) -> None:
        scripted = hasattr(sys.modules["__main__"], "__file__") or "-c" in sys.orig_argv
        if command is None and not scripted:
            raise InputError(
                f"`workers={count}` run this script again in other processes, but a notebook is not a script: "
                "put the search into one, or use `kft tune --workers`."
            )
        self.command = list(command or [sys.executable, *sys.orig_argv[1:]])
        self.host, self.logs, self._secret = host, logs, secret
        self.names = [f"worker-{number}" for number in range(1, count + 1)]
        self._running: dict[str, subprocess.Popen] = {}
        self._starts: dict[str, list[float]] = {name: [] for name in self.names}
        self._gone: set[str] = set()
        self._port = 0

    def start(self, port: int) -> None:
        """Start all workers of the chief that listens at this port."""
        self._port = port
        self.logs.mkdir(parents=True, exist_ok=True)
        for name in self.names:
            self._start(name)

    def look_after(self, informed: Set[str]) -> set[str]:
        """Restart workers that have died; a restarted worker resumes its trial.

        Args:
            informed: The names of workers that were informed that the search is over.

        Returns:
            The names of workers that died too often to be restarted.

        Raises:
            KftError: If that is all of them.
        """
        for name, process in list(self._running.items()):
            if process.poll() is None:
                continue
            _close(self._running.pop(name))
            if name in informed:
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
        """Return whether no worker is running."""
        return all(process.poll() is not None for process in self._running.values())

    def stop(self) -> None:
        """Stop the running workers, which commit their state first."""
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
                stdin=subprocess.PIPE,  # closes however this process ends, which ends the worker
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def _close(process: subprocess.Popen) -> None:
    assert process.stdin is not None
    process.stdin.close()
