"""Eviction of the least recently used features when a directory exceeds its limit."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from kft.cache.key import KEY
from kft.runs.hidden import remove_hidden

HIDDEN = ".writing-"  # prefix of folders with unfinished features


def evict(directory: Path, limit: int, keep: Collection[Path]) -> None:
    """Remove leftovers of killed writers, then the least recently used features down to the limit.

    Args:
        directory: the directory of the features.
        limit: the maximum total size in bytes.
        keep: features in use, which are not removed.
    """
    remove_hidden(directory, HIDDEN)
    total, others = 0, []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            folder = Path(entry.path)
            if folder in keep or entry.name.startswith("."):
                total += _size(folder)
            elif KEY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                others.append((entry.stat().st_mtime, folder))
    for _, folder in sorted(others, reverse=True):
        total += _size(folder)
        if total > limit:
            shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder, which another process may be removing."""
    total = 0
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            total += path.stat().st_size
    return total
