"""Files that are on the disk before anything relies on them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF)


def sync(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk.

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
    """Bring all files below a directory, and their names, to the disk.

    Raises:
        OSError: The disk is full or broken.
    """
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
