"""Hidden directories for unfinished files, and removal of those that killed writers left."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from kft.errors import InputError
from kft.runs.locks import InUseError, RunLock


@contextlib.contextmanager
def hidden_directory(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new, empty directory that no other process removes while the block runs.

    It is removed at the end, unless it has been renamed. `remove_hidden` removes those of killed
    writers. Its permissions are those of any new directory there, by umask, group and access list.

    Args:
        parent: The parent directory, created if necessary.
        prefix: The prefix of its name, usually with a dot first.

    Raises:
        LockError: `parent` cannot be written to.
    """
    path, lock = _locked(parent, prefix)
    try:
        path.mkdir()
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        lock.release()


def _locked(parent: Path, prefix: str) -> tuple[Path, RunLock]:
    for left in reversed(range(10)):
        path = parent / f"{prefix}{secrets.token_hex(8)}"
        lock = RunLock(parent, f"{path.name}.lock")
        try:
            lock.acquire()
            return path, lock
        except InUseError:  # `remove_hidden` of another process holds its lock for a moment
            if not left:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def remove_hidden(parent: Path, prefix: str) -> None:
    """Remove the hidden directories of dead writers.

    Args:
        parent: The directory in which `hidden_directory` made them.
        prefix: The prefix of their names.
    """
    pattern = re.compile(rf"({re.escape(prefix)}[0-9a-f]{{16}})(\.lock.*)?")
    with contextlib.suppress(OSError):  # the parent does not exist, or cannot be read
        found = {match[1] for name in os.listdir(parent) if (match := pattern.fullmatch(name))}
        for name in found:
            lock = RunLock(parent, f"{name}.lock")
            if not lock.is_held_here:
                with contextlib.suppress(InputError), lock:
                    shutil.rmtree(parent / name, ignore_errors=True)
