"""Run directories in a directory: of finished runs, and of those that were interrupted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kft.arguments.paths import similar_path
from kft.errors import InputError
from kft.runs.places import BEGUN, RECIPE, no_run


def runs_in(place: Path) -> list[Path]:
    """Return a run directory itself, or the run directories in a directory, sorted by name.

    Args:
        place: The directory.

    Raises:
        InputError: There is no finished run.
    """
    if os.path.isfile(place / RECIPE):
        return [place]
    if not os.path.isdir(place):
        raise InputError(
            f"{place}: no such directory{similar_path(place)}; pass run directories, or a directory of such."
        )
    if os.path.isfile(place / BEGUN):
        raise no_run(place)
    found = sorted(path for path in place.iterdir() if os.path.isfile(path / RECIPE))
    if not found:
        begun = interrupted_in(place)
        raise InputError(
            f"{place} contains no finished run: "
            + (interrupted(begun) if begun else "pass run directories, or a directory of such.")
        )
    return found


def interrupted_in(place: Path) -> list[Path]:
    """Return the directories of interrupted runs in a directory, sorted by name.

    Args:
        place: The directory, or that of a finished run, which contains none.
    """
    if os.path.isfile(place / RECIPE):
        return []
    return sorted(
        path
        for path in place.iterdir()
        if os.path.isfile(path / BEGUN) and not os.path.isfile(path / RECIPE)
    )


def interrupted(runs: Sequence[Path]) -> str:
    """Return that runs were interrupted, and how to continue them.

    Args:
        runs: Their directories, at least one.
    """
    names = ", ".join(path.name for path in runs)
    if len(runs) == 1:
        return f"{names} was interrupted; the same call again continues it."
    return f"{names} were interrupted; the same calls again continue them."
