"""Checks of the directories of results: finished, empty, and separate from the data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kft.arguments.paths import similar_path
from kft.errors import InputError

RECIPE = "recipe.json"  # marks a finished run
BEGUN = "begun.json"  # what a fit has begun, until it is finished
FEATURES_PLACE = "cache"  # the argument with the directory of cached features
REPORT = "report.html"
JOURNAL = "journal.json"  # time, memory and figures of a run
_OF_THE_DISK = "lost+found"  # in every empty ext4 volume


def check_run(directory: Path) -> None:
    """Check that a directory is a finished run.

    Raises:
        InputError: It has no `recipe.json`.
    """
    try:
        os.stat(directory / RECIPE)
    except FileNotFoundError as error:
        raise no_run(directory) from error
    except (OSError, ValueError):
        pass  # reading the file will report the problem


def no_run(directory: Path, missing: str = RECIPE) -> InputError:
    """Return the error for a directory that is not a finished run.

    Args:
        directory: The directory.
        missing: The missing file.
    """
    way_out = "Pass the run directory of a fit."
    problem = f"it has no {missing}"
    with contextlib.suppress(OSError, ValueError):
        if os.path.isfile(directory / BEGUN):
            way_out = "Its fit was interrupted: make the same call again to continue it."
        elif not os.path.lexists(directory):
            problem = f"there is no such directory{similar_path(directory)}"
    return InputError(f"`{directory}` is not a finished run: {problem}. {way_out}")


def fold_run(parent: Path, number: int) -> Path:
    """Return the run directory of a fold of the data.

    Args:
        parent: The directory of the runs on all folds.
        number: The number of the fold, counted from 0.
    """
    return parent / f"fold-{number + 1}"


def is_empty(directory: Path, besides: Iterable[str] = ()) -> bool:
    """Return whether a directory is empty, apart from hidden files.

    Args:
        directory: The directory.
        besides: Names to ignore.
    """
    ignored = {_OF_THE_DISK, *besides}
    return all(name.startswith(".") or name in ignored for name in os.listdir(directory))


def check_apart_from_data(places: Mapping[str, Any], data: Iterable[Any]) -> None:
    """Check that results are not written into the data, of which they would become a part.

    Folders are compared by their identity in the file system, whatever links and mounts there are.

    Args:
        places: The directories of results by argument; None for none. That of features is often
            shared, so it may contain data folders.
        data: The arguments with data, of which only folders are checked, and those of `Examples`.

    Raises:
        InputError: A place is a folder of data, is inside one, or contains one; or it is not a path.
    """
    named = (getattr(one, "folder", one) for one in data)  # of `Examples`, the folder that was read
    paths = [os.path.expanduser(one) for one in named if isinstance(one, (str, os.PathLike))]
    folders = [Path(one) for one in paths if os.path.isdir(one)]
    for name, place in places.items():
        if place is None:
            continue
        if "\0" in os.fspath(place):
            raise InputError(f"`{name}={str(place)!r}` holds a zero byte: pass a path without one.")
        for folder in folders:
            inside = _identity(folder) in _ancestors(Path(place))
            around = _identity(Path(place)) in _ancestors(folder)
            if inside or (around and name != FEATURES_PLACE):
                where = "is" if inside and around else "lies inside" if inside else "holds"
                raise InputError(
                    f"`{name}={str(place)!r}` {where} the data folder {folder}, and what is written "
                    "there would become data: pass a directory outside of it."
                )


def _ancestors(path: Path) -> set[tuple[int, int] | None]:
    """Return the identities of a path and of its parents, as far as they exist."""
    real = Path(os.path.realpath(path))
    return {_identity(one) for one in (real, *real.parents)} - {None}


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None
