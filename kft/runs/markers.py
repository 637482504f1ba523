"""Markers: directories owned by one process, on any file system that supports renames."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import secrets
import shutil
from pathlib import Path

from kft.runs.owners import Owner

TRIES = 100  # attempts, since a file may vanish between two calls
_OWNER = "owner.json"
_OLD = 60.0  # seconds after which an incomplete marker is a leftover
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)

_mine: set[str] = set()  # tokens of the markers of this process


class HeldError(Exception):
    """The error for a marker that belongs to another process.

    Attributes:
        owner: The process, None if unknown.
        is_alive: Whether it is known to be alive.
    """

    def __init__(self, owner: Owner | None, is_alive: bool) -> None:
        super().__init__()
        self.owner, self.is_alive = owner, is_alive


def owner_of(marker: Path) -> Owner | None:
    """Return the process that a marker belongs to; None if there is none or it is damaged."""
    return Owner.read(marker / _OWNER)


def claim(marker: Path, owner: Owner) -> None:
    """Create a marker.

    It appears together with its owner, by a single rename that replaces nothing. The marker of a
    dead process is removed first.

    Args:
        marker: The directory to create.
        owner: This process.

    Raises:
        HeldError: The marker belongs to another process.
        OSError: The directory cannot be created.
    """
    pending = marker.with_name(f"{marker.name}.new-{owner.token}")
    pending.mkdir()
    try:
        owner.write(pending / _OWNER)
        for _ in range(TRIES):
            try:
                os.rename(pending, marker)
            except OSError as error:
                if error.errno not in _NOT_EMPTY and not marker.exists():
                    raise
            else:
                _mine.add(owner.token)
                _remove_leftovers(marker)
                return
            other = owner_of(marker)
            if other is None and not marker.exists():
                continue
            is_alive = _is_alive(other, owner.flock)
            if is_alive is not False:
                raise HeldError(other, is_alive=bool(is_alive))
            _remove_dead(marker, other, owner)
        raise HeldError(None, is_alive=False)  # the existing marker cannot be removed
    finally:
        shutil.rmtree(pending, ignore_errors=True)


def unclaim(marker: Path, owner: Owner) -> None:
    """Remove a marker of this process."""
    _mine.discard(owner.token)
    if owner_of(marker) == owner:
        _move_away(marker)


def _is_alive(other: Owner | None, flock: bool) -> bool | None:
    """Return whether a marker's owner is alive, given whether this process has the file's lock."""
    if other is None:
        return False if flock else None
    is_alive = other.is_alive()
    if is_alive and other.pid == os.getpid():
        return other.token in _mine  # otherwise a failed removal left it
    # If both use the file's lock, this process could not have it while the other is alive.
    return False if is_alive is None and flock and other.flock else is_alive


def _remove_dead(marker: Path, dead: Owner | None, owner: Owner) -> None:
    """Remove the marker of a dead process, and never a newer one of another process.

    The right to remove it is claimed first, by a marker named after the dead process's token.
    """
    right = marker.with_name(f"{marker.name}.end-{dead.token if dead else 'damaged'}")
    mine = dataclasses.replace(owner, token=secrets.token_hex(8))
    claim(right, mine)
    try:
        if owner_of(marker) == dead:
            _move_away(marker)
    finally:
        unclaim(right, mine)


def _move_away(marker: Path) -> None:
    """Remove a marker atomically, since a partial one would have lost its owner."""
    gone = marker.with_name(f"{marker.name}.old-{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        os.rename(marker, gone)
    shutil.rmtree(gone, ignore_errors=True)


def _remove_leftovers(marker: Path) -> None:
    """Remove leftovers of processes that were killed while they created or removed a marker."""
    for path in marker.parent.glob(f"{marker.name}.*"):
        owner = owner_of(path)
        with contextlib.suppress(FileNotFoundError):
            # One without an owner may be in creation or removal; ages are by the file system's clock.
            is_old = marker.stat().st_mtime - path.stat().st_mtime > _OLD
            if is_old if owner is None else owner.is_alive() is False:
                shutil.rmtree(path, ignore_errors=True)
