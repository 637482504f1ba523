"""Directories whose files appear all at once, or not at all."""

from __future__ import annotations

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
    """Give a hidden directory, whose files appear in `directory` when the block ends.

    A block that raises leaves nothing behind, and what killed processes left is removed. A new
    directory appears at once. Into one that exists, which may be all of a volume, the files are
    moved one by one, `recipe.json` last, since that is what `load` looks for.

    Args:
        directory: Where the files go.

    Raises:
        WriteError: If the directory cannot be written to.
    """
    directory = Path(directory)
    is_new = not directory.exists()
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
                if target.is_dir():
                    shutil.rmtree(target)
                path.replace(target)
        sync(parent)


def remove_half_written(directory: Path) -> None:
    """Remove what processes that were killed have half written to a directory."""
    remove_hidden(directory, _HIDDEN)


def try_writing(directory: Path) -> None:
    """Write an empty file as `being_written` writes results, and remove it.

    Args:
        directory: Where results will go.

    Raises:
        WriteError: What would fail at the end fails now.
    """
    with writing_to(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with being_written(directory) as hidden:
            (hidden / _TRIED).touch()
        (directory / _TRIED).unlink()
