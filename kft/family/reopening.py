"""A finished run again, from its directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kft.errors import InputError, KftError
from kft.family import run as fitting
from kft.family import saving
from kft.family.description import read_description
from kft.family.hooks import Family
from kft.family.run import Measurement, Run
from kft.tasks import Task


def reopen(
    run_dir: str | os.PathLike,
    *,
    recipe: type[Family] | None = None,
    task: type[Task] | Sequence[type[Task]] = (),
) -> Run:
    """Load the run that `fit` kept, to report on it again.

    Args:
        run_dir: The directory of a finished run.
        recipe: As in `kft.load`.
        task: As in `kft.load`.

    Returns:
        The run, with its recipe, history, plan and journal, and without validation data.

    Raises:
        InputError: If there is no finished run, or it is damaged.
    """
    directory = Path(run_dir)
    loaded = saving.load(directory, recipe=recipe, task=task)
    plan = read_description(directory).get("plan")
    if not plan:
        raise InputError(
            f"`{directory}` holds a recipe that was saved, but no run: pass the "
            "directory of one, as a fit writes it."
        )
    journal = fitting.read_journal(directory)
    return Run(
        recipe=loaded,
        history=fitting.read_history(directory),
        run_dir=directory,
        stages_table=fitting.stages_table(loaded, directory, journal),
        journal=journal,
    )


def report_again(run: Run, path: Path, *, forgetting: Measurement | None = None) -> Path:
    """Write the page of a run that `reopen` loaded, whose files may not be what `fit` wrote.

    Args:
        run: The run.
        path: The page.
        forgetting: As in `Run.report`.

    Returns:
        The path of the page.

    Raises:
        InputError: If the page cannot be drawn from the run's files.
    """
    try:
        return run.report(path, forgetting=forgetting)
    except (KftError, OSError):
        raise
    except Exception as error:
        raise InputError(
            f"`{run.run_dir}` cannot be drawn ({type(error).__name__}: {error}): see "
            f"{fitting.HISTORY} and {fitting.JOURNAL} in it."
        ) from error
