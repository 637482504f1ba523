"""A finished run, loaded again from its directory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kft.arguments import path_of
from kft.data.examples import Examples
from kft.data.streams import Stream
from kft.errors import InputError, KftError
from kft.family import saving
from kft.family.description import class_path, errors_naming_file, read_description
from kft.family.hooks import Family
from kft.family.known import title_of
from kft.family.run import Measurement, Run
from kft.family.run_files import HISTORY, read_history, read_journal
from kft.model.pretrained import StartingWeights
from kft.runs.places import JOURNAL, RECIPE
from kft.stages.stage import checked_stages
from kft.stages.table import plan_table
from kft.tasks import Task
from kft.tasks.evaluation.kept import KeptEvaluation

if TYPE_CHECKING:
    from kft.tasks import Evaluation


def reopen(
    run_dir: str | os.PathLike,
    *,
    recipe: type[Family] | None = None,
    task: type[Task] | Sequence[type[Task]] = (),
) -> Run:
    """Load a run that `fit` saved, to report on it again.

    Args:
        run_dir: The directory of a finished run.
        recipe: As in `kft.load`.
        task: As in `kft.load`.

    Returns:
        The run, with its recipe, history, plan, journal and figures, and without validation data.

    Raises:
        InputError: If there is no finished run, or it is damaged.
    """
    directory = path_of("run_dir", run_dir)
    loaded = saving.load(directory, recipe=recipe, task=task)
    plan = read_description(directory).get("plan")
    if not plan:
        raise InputError(
            f"`{directory}` contains a saved recipe, but no run: pass a directory that a fit wrote."
        )
    journal = read_journal(directory)
    return Run(
        recipe=loaded,
        history=read_history(directory),
        run_dir=directory,
        evaluation=KeptEvaluation.read(journal or {}),
        stages_table=stages_table(loaded, directory, journal),
        journal=journal,
    )


def load_finished(recipe: Family, run_dir: Path, *, verbose: int | str) -> Run:
    """Load a finished run into the recipe that was about to repeat the same fit."""
    saving.restore(recipe, run_dir)
    journal = read_journal(run_dir)
    if verbose != 0:
        print(f"{run_dir} is finished: loaded, not trained again.")
    return Run(
        recipe,
        read_history(run_dir),
        run_dir,
        evaluation=KeptEvaluation.read(journal or {}),
        stages_table=stages_table(recipe, run_dir, journal),
        journal=journal,
    )


def stages_table(recipe: Family, run_dir: Path, journal: Mapping[str, Any] | None) -> str:
    """Return the plan of a loaded run as an HTML table.

    Args:
        recipe: The loaded recipe.
        run_dir: The directory that it was loaded from.
        journal: The run's journal.

    Raises:
        InputError: If the run describes no stages.
    """
    with errors_naming_file(run_dir / RECIPE, class_path(recipe)):
        plan = recipe.origin["plan"]
        noted = (journal or {}).get("starting_weights")
        table = plan_table(
            recipe.model,
            checked_stages(plan["stages"]),
            plan["batch_norm"],
            weights=noted and StartingWeights(str(noted["source"]), bool(noted["pretrained"])),
            title=title_of(recipe),
        )
    return table._repr_html_()


def with_evaluation(run: Run, evaluation: Evaluation, data: Examples | Stream) -> Run:
    """Return a run with a new evaluation of its recipe, which may have been trained again since.

    Args:
        run: A run that `reopen` loaded.
        evaluation: The evaluation.
        data: The evaluated data.
    """
    journal = {**(run.journal or {}), "evaluated_later": True}
    return dataclasses.replace(run, evaluation=evaluation, validation=data, journal=journal)


def report_again(run: Run, path: Path, *, forgetting: Measurement | None = None) -> Path:
    """Write the page of a run that `reopen` loaded, whose files may have been changed since.

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
            f"{HISTORY} and {JOURNAL} in it."
        ) from error
