"""The files of a finished run other than its recipe: history, journal and page."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kft.errors import InputError
from kft.family import distances, saving
from kft.family.run import Run, with_overlap
from kft.runs import atomic, json_files
from kft.runs.places import JOURNAL, REPORT
from kft.tasks.evaluation.kept import entries_of

HISTORY = "history.json"


def keep(run: Run, plan: Mapping[str, Any], draw: Callable[[Path], Any] | None = None) -> None:
    """Write a trained run to its directory, completely or not at all.

    Args:
        run: The run.
        plan: The plan that identifies it.
        draw: Writes the page to a directory. By default the page is written later.
    """
    assert run.run_dir is not None
    with atomic.being_written(run.run_dir) as hidden:
        saving.write(run.recipe, hidden, plan=plan)
        json_files.write_json(hidden / HISTORY, run.history)
        json_files.write_json(hidden / JOURNAL, run.journal)
        if draw is not None:
            draw(hidden)


def add_page(run: Run, folder: Path) -> Mapping[str, Any]:
    """Write the page of a run, and add the page's findings to the journal.

    Args:
        run: The run.
        folder: The directory of the run.

    Returns:
        The extended journal.
    """
    assert run.evaluation is not None
    distances.write(run.recipe.distances, folder)
    journal = {**with_overlap(run), **entries_of(run.evaluation)}
    replace(run, journal=journal).report(folder / REPORT)
    json_files.write_json(folder / f".{JOURNAL}", journal)
    (folder / f".{JOURNAL}").replace(folder / JOURNAL)
    return journal


def read_history(run_dir: Path) -> dict[str, list]:
    """Read the history of a run: lists of numbers, or of strings such as stage names.

    Raises:
        InputError: If it is missing or damaged.
    """
    history = json_files.read_json(run_dir / HISTORY)
    if not isinstance(history, dict) or not all(map(_is_column, history.values())):
        raise InputError(f"`{run_dir / HISTORY}` is damaged: restore it from a copy.")
    return history


def read_journal(run_dir: Path) -> Mapping[str, Any] | None:
    """Read the journal of a run; None if it has none.

    Raises:
        InputError: If the file is damaged.
    """
    if not os.path.exists(run_dir / JOURNAL):
        return None
    journal = json_files.read_json(run_dir / JOURNAL)
    if journal is not None and not isinstance(journal, dict):
        raise InputError(f"`{run_dir / JOURNAL}` is damaged: restore it from a copy.")
    return journal


def _is_column(values):
    kinds = (str, int, float, type(None))
    return isinstance(values, list) and all(isinstance(value, kinds) for value in values)
