"""A finished run again, from its directory."""

from __future__ import annotations

import os
from pathlib import Path

from kft import fitting, saving
from kft.errors import InputError
from kft.fitting import Run


def reopen(run_dir: str | os.PathLike) -> Run:
    """Load the run that `fit` kept, to report on it again.

    Args:
        run_dir: The directory of a finished run.

    Returns:
        The run, with its recipe, history, plan and journal, and without validation data.

    Raises:
        InputError: If there is no finished run.
    """
    directory = Path(run_dir)
    recipe = saving.load(directory)
    plan = saving.read_json(directory / saving.RECIPE).get("plan")
    if not plan:
        raise InputError(
            f"`{directory}` holds a recipe that was saved, but no run: pass what "
            "`fit(run_dir=...)` wrote."
        )
    return Run(
        recipe=recipe,
        history=saving.read_json(directory / fitting.HISTORY),
        run_dir=directory,
        stages_table=fitting.stages_table(recipe),
        journal=fitting.read_journal(directory),
    )
