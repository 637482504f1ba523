"""One process a run directory."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from kft.errors import InputError

_LOCK = "lock"
_OWNER = "owner.json"


class RunLock:
    """Holds a directory against other processes, for as long as this process lives at most.

    The operating system lets go of the lock of a process that dies, however it dies, so there are
    no stale locks. Within a process the lock can be taken several times.

    Args:
        directory: what to hold; it is made if need be.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock: FileLock | None = None

    def acquire(self) -> None:
        """Takes the lock, at once or not at all.

        Raises:
            InputError: another process has it; the message names the process.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.directory / _LOCK, timeout=0, is_singleton=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(
                f"`{self.directory}` is in use by {_owner(self.directory)}: wait for it to end, stop "
                "it, or pass another directory."
            ) from error
        self._lock = lock
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        (self.directory / _OWNER).write_text(json.dumps(owner), encoding="utf-8")

    def release(self) -> None:
        """Gives the lock back, if it is held."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _owner(directory: Path) -> str:
    try:
        owner = json.loads((directory / _OWNER).read_text(encoding="utf-8"))
        return f"process {int(owner['pid'])} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
