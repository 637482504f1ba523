"""Locks that reserve a directory for one process, on every file system."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType

from kft.errors import InputError
from kft.runs.markers import TRIES, HeldError, claim, owner_of, unclaim
from kft.runs.owners import Owner

# Errors of file systems without locks: Lustre, NFS without its lock daemon, FUSE, network drives.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class InUseError(InputError):
    """The error for a directory that another process uses.

    Attributes:
        is_alive: Whether that process is known to be alive, which is unknown on another host if the
            file system has no locks.
    """

    def __init__(self, message: str, is_alive: bool = True) -> None:
        super().__init__(message)
        self.is_alive = is_alive


class LockError(InputError, OSError):
    """The error for a directory that cannot be locked, for example because it is not writable."""


class RunLock:
    """A lock on a directory against other processes, which ends with this process at the latest.

    A lock is a file and a directory next to it, the marker. The file is locked by `flock`, which the
    operating system releases when a process dies, however it dies. The marker names its owner:
    process, host and start time. It appears by a single rename that replaces nothing, which every
    file system supports. Without `flock` the marker alone is the lock, and the marker of a dead
    process is removed by the next process on its host. Nothing is left after `release`.

    A thread can acquire a lock several times, through any number of objects, and must release it as
    often. Keep a reference to the object: garbage collection releases the lock.

    Args:
        directory: The directory, created if necessary.
        name: Name of the lock file, for several locks in one directory. Defaults to `"lock"`.
    """

    def __init__(self, directory: str | os.PathLike[str], name: str = "lock") -> None:
        self.directory, self.name = Path(directory), name
        self._releases: list[weakref.finalize] = []

    def acquire(self, wait: float = 0.0) -> None:
        """Take the lock.

        Args:
            wait: Seconds to wait if another process that is alive has it. Defaults to 0.

        Raises:
            InUseError: Another process, or another thread, has the lock; the message names it.
            LockError: The directory cannot be written to.
        """
        until, pause = time.monotonic() + wait, 0.01
        while True:
            try:
                with _guard:
                    key = self._take()
                break
            except InUseError as error:
                left = until - time.monotonic()
                if not error.is_alive or left <= 0:
                    raise
                time.sleep(min(pause, left))
                pause = min(2 * pause, 0.5)
            except OSError as error:
                raise LockError(
                    f"`{self.directory}` cannot be locked ({error}): pass a directory with room that "
                    "this process can write to."
                ) from error
        self._releases.append(weakref.finalize(self, _release, key))

    def release(self) -> None:
        """Release the lock, if this object holds it."""
        if self._releases:
            self._releases.pop()()

    @property
    def is_held_here(self) -> bool:
        """Whether this process holds the lock, through any object."""
        return self.directory.resolve() / self.name in _holds

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

    def _take(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        place = self.directory.resolve() / self.name
        known = _holds.get(place)
        if known is not None and known.thread == threading.get_ident():
            known.count += 1
        elif known is not None:
            raise self._in_use(known.owner, is_alive=True)
        else:
            _holds[place] = self._hold(place)
        return place

    def _hold(self, place: Path) -> _Hold:
        descriptor = None
        try:
            descriptor = _flock(place)
            owner = Owner.here(flock=descriptor is not None)
            claim(_marker(place), owner)
        except HeldError as held:
            _close(descriptor)
            by = held.owner or owner_of(_marker(place))
            raise self._in_use(by, held.is_alive) from None
        except BaseException:
            _close(descriptor)
            raise
        hold = _Hold(descriptor, owner, threading.get_ident())
        if descriptor is not None and not _lies_at(place, descriptor):
            # The previous owner has removed the file in between, so that this lock protects nothing.
            _let_go(place, hold)
            raise self._in_use(None, is_alive=True)
        return hold

    def _in_use(self, owner: Owner | None, is_alive: bool) -> InUseError:
        by = "another process" if owner is None else str(owner)
        if is_alive:
            way_out = "wait for it to end, stop it, or pass another directory"
        else:
            marker = _marker(self.directory / self.name)
            way_out = (
                "whether it is alive cannot be seen from here. Pass another directory; if it has "
                f"ended, remove {marker} and try again"
            )
        return InUseError(f"`{self.directory}` is in use by {by}: {way_out}.", is_alive)


@dataclasses.dataclass
class _Hold:
    descriptor: int | None  # None if the file system has no locks
    owner: Owner
    thread: int
    count: int = 1


_holds: dict[Path, _Hold] = {}
_guard = threading.RLock()  # a finalizer may run while its own thread takes another lock


def _leave_to_parent() -> None:
    """Forget in a forked process the locks of its parent, which end with the parent."""
    global _guard
    _guard = threading.RLock()
    for hold in _holds.values():
        _close(hold.descriptor)
    _holds.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def _marker(place: Path) -> Path:
    return place.with_name(f"{place.name}.held")


def _release(place: Path) -> None:
    with _guard:
        hold = _holds.get(place)
        if hold is None:  # taken before a fork
            return
        hold.count -= 1
        if hold.count:
            return
        del _holds[place]
        with contextlib.suppress(OSError):
            os.unlink(place)  # only the marker's owner does so; others check the file after opening
        _let_go(place, hold)


def _let_go(place: Path, hold: _Hold) -> None:
    unclaim(_marker(place), hold.owner)
    _close(hold.descriptor)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _lies_at(place: Path, descriptor: int) -> bool:
    """Return whether an open file is still the one at its path, and not a removed one."""
    try:
        return os.path.samestat(os.stat(place), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _flock(place: Path) -> int | None:
    """Lock a file and return its descriptor, or None if the file system has no locks."""
    for _ in range(TRIES):
        descriptor = _opened(place)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _lies_at(place, descriptor):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise HeldError(None, is_alive=True) from error
            if error.errno in _NO_LOCKS:
                return None
            raise
        os.close(descriptor)
    return None  # a file that keeps changing offers no reliable lock


def _opened(place: Path) -> int:
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(place, os.O_RDWR | flags, 0o666)
    except PermissionError:  # another user's lock in a shared directory
        return os.open(place, os.O_RDONLY | flags, 0o666)
