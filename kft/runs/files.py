"""Durable files: syncing to disk, errors of writing, and permissions."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kft.errors import InputError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF)


class WriteError(InputError, OSError):
    """The error for a directory that cannot be written to: its disk is full, or permission is missing."""


@contextlib.contextmanager
def writing_to(directory: Path) -> Iterator[None]:
    """Turn an `OSError` of a write into a `WriteError` with a way out.

    Args:
        directory: The directory that the block writes to.

    Raises:
        WriteError: A write failed.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise WriteError(
            f"`{directory}` cannot be written to ({error}): make room there, or pass another "
            "directory."
        ) from error


def refused_write(error: BaseException) -> str:
    """Return the system's message if a disk is full or read-only; empty for any other error.

    Args:
        error: The error. Its causes count too, as do messages of TensorFlow, which has its own errors.
    """
    found: BaseException | None = error
    while found is not None:
        for number in _NO_ROOM:
            if getattr(found, "errno", None) == number or os.strerror(number) in str(found):
                return os.strerror(number)
        if isinstance(found, WriteError):
            return str(found)
        found = found.__cause__ or found.__context__
    return ""


def sync(path: Path) -> None:
    """Sync a file, or the entries of a directory, to the disk.

    Raises:
        OSError: The disk is full or broken.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync directories; their renames are journalled.
        if error.errno not in _NO_SYNC or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Sync all files and directories below a directory to the disk.

    Raises:
        OSError: The disk is full or broken.
    """
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))


def set_default_mode(path: Path) -> None:
    """Set the permissions of a file to those of any new file there, by umask or access list."""
    new = path.with_name(f".{path.name}.mode")
    new.touch()
    try:
        path.chmod(stat.S_IMODE(new.stat().st_mode))
    finally:
        new.unlink()
