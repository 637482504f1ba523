"""Atomic writing of directories."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kft.runs.files import sync, sync_tree, writing_to
from kft.runs.hidden import hidden_directory, remove_hidden
from kft.runs.places import RECIPE

_HIDDEN = ".writing-"
_TRIED = ".tried"


@contextmanager
def being_written(directory: Path) -> Iterator[Path]:
    """Yield a hidden directory, whose files are moved to `directory` when the block ends.

    A block that raises leaves nothing behind, and leftovers of killed processes are removed. A new
    directory appears by a single rename. Into an existing one, which may be the root of a volume,
    files are moved one by one, with `recipe.json`, which `load` looks for, last.

    Args:
        directory: The final directory.

    Raises:
        WriteError: The directory cannot be written to.
    """
    directory = Path(directory)
    is_new = not os.path.exists(directory)
    parent = directory.parent if is_new else directory
    remove_hidden(parent, _HIDDEN)
    with writing_to(directory), hidden_directory(parent, _HIDDEN) as hidden:
        yield hidden
        sync_tree(hidden)
        if is_new:
            hidden.rename(directory)
        else:
            for path in sorted(hidden.iterdir(), key=lambda path: path.name == RECIPE):
                target = directory / path.name
                if os.path.isdir(target):
                    shutil.rmtree(target)
                path.replace(target)
        sync(parent)


def remove_half_written(directory: Path) -> None:
    """Remove half-written files of killed processes from a directory."""
    remove_hidden(directory, _HIDDEN)


def try_writing(directory: Path) -> None:
    """Write and remove an empty file with `being_written`, so that errors appear early.

    Args:
        directory: The directory of the results.

    Raises:
        WriteError: The directory cannot be written to.
    """
    with writing_to(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with being_written(directory) as hidden:
            (hidden / _TRIED).touch()
        (directory / _TRIED).unlink()
