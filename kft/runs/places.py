"""Where results are written: directories that are empty, and that lie apart from the data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kft.errors import InputError

RECIPE = "recipe.json"  # what a finished run has
FEATURES_PLACE = "cache"  # the argument that says where kept features lie
REPORT = "report.html"
JOURNAL = "journal.json"  # what a run notes of itself
_OF_THE_DISK = "lost+found"  # an empty ext4 volume has it


def check_run(directory: Path) -> None:
    """Refuse a directory that is no finished run.

    Raises:
        InputError: If it has no `recipe.json`.
    """
    try:
        os.stat(directory / RECIPE)
    except FileNotFoundError as error:
        raise no_run(directory) from error
    except (OSError, ValueError):
        pass  # whoever reads it says what it is


def no_run(directory: Path, missing: str = RECIPE) -> InputError:
    """Return the error about a directory that is no finished run.

    Args:
        directory: The directory.
        missing: The file that it does not have.
    """
    return InputError(
        f"`{directory}` is no finished run: it has no {missing}. Pass a run directory, as a fit "
        "writes it."
    )


def is_empty(directory: Path, besides: Iterable[str] = ()) -> bool:
    """Return whether a directory holds nothing, hidden files aside.

    Args:
        directory: The directory.
        besides: Names that do not count.
    """
    ignored = {_OF_THE_DISK, *besides}
    return all(name.startswith(".") or name in ignored for name in os.listdir(directory))


def check_apart_from_data(places: Mapping[str, Any], data: Iterable[Any]) -> None:
    """Check that results are not written among the data, which they would become a part of.

    Folders are compared as the file system sees them: links and mounts do not hide anything.

    Args:
        places: Where results go, by the argument that said so; None for nowhere. The place of
            features is often shared, so it may hold other things.
        data: What was passed as data; only folders matter.

    Raises:
        InputError: A place is a folder of data, or lies inside one, or holds one; or it is no path.
    """
    folders = [
        Path(one) for one in data if isinstance(one, (str, os.PathLike)) and os.path.isdir(one)
    ]
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
    """The identities of a path and of all folders above it, as far as they exist."""
    real = Path(os.path.realpath(path))
    return {_identity(one) for one in (real, *real.parents)} - {None}


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None
