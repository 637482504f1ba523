"""Exporting a recipe: save it, and let a new process make a version of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kft.arguments import path_of
from kft.distribution import processes
from kft.export.launch import check_export, export_run
from kft.export.versions import check_place
from kft.family import saving
from kft.family.description import class_path
from kft.family.hooks import Family
from kft.family.known import known_recipe
from kft.family.run_files import HISTORY
from kft.import_path import place_of
from kft.runs.json_files import write_json
from kft.tasks.saved import own_classes


def export_recipe(
    recipe: Family,
    base_dir: str | os.PathLike,
    *,
    format: str,
    weights: str,
    batch_sizes: Sequence[int],
    examples: Any,
    data: str | os.PathLike | None,
    clients: bool,
) -> Path:
    """Export a recipe as `kft.Recipe.export` documents it.

    Args:
        recipe: The recipe.
        base_dir: The directory of the versions.
        format: As for `kft.Recipe.export`.
        weights: As for `kft.Recipe.export`.
        batch_sizes: As for `kft.Recipe.export`.
        examples: As for `kft.Recipe.export`.
        data: As for `kft.Recipe.export`.
        clients: As for `kft.Recipe.export`.

    Returns:
        The directory of the new version.

    Raises:
        InputError: If an argument is wrong, or the new process cannot import the recipe's class.
        kft.export.launch.ExportError: If the version did not pass its check.
    """
    base_dir = path_of("base_dir", base_dir)
    check_export(format, weights, batch_sizes, clients, data)
    check_place(base_dir)
    own = None if known_recipe(class_path(recipe)) is type(recipe) else type(recipe)
    tasks = own_classes(recipe.task)
    for one in (*([] if own is None else [own]), *tasks):
        place_of(one)  # fails early for a class that the other process cannot import
    recipe.serving_inputs()  # fails early for inputs that a server cannot decode
    given = None if examples is None else recipe.encoded(recipe.raw_inputs(examples))

    def write() -> Path:
        with tempfile.TemporaryDirectory(prefix="kft-export-") as folder:
            saved = saving.save(recipe, Path(folder) / "run", plan=recipe.origin.get("plan"))
            write_json(saved / HISTORY, recipe.origin.get("history", {}))
            return export_run(
                saved,
                base_dir,
                recipe=own,
                task=tasks,
                format=format,
                weights=weights,
                batch_sizes=batch_sizes,
                examples=given or recipe.raw_examples or None,
                data=data,
                clients=clients,
            )

    return processes.by_first(os.path.abspath(base_dir), write)
