"""Opening a run with the classes of its recipe and its task, if they are not kft's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from kft.cli import build
from kft.cli.startup import waiting
from kft.runs.places import check_run

if TYPE_CHECKING:
    from kft.recipe.recipe import Recipe
    from kft.tasks import Task

RunRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="MODULE:CLASS",
        help="The recipe's class, for a run of your own recipe. A class that a run names is never "
        "imported; kft's own recipes are found without this.",
        show_default=False,
    ),
]


RunTask = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="MODULE:CLASS",
        help="The class of the recipe's task, for a run of your own task. Repeatable, for several "
        "tasks in one recipe.",
        show_default=False,
    ),
]


def named_class(name: str | None) -> type[Recipe] | None:
    """Return the class that `--recipe` names, None if it was not passed."""
    return None if name is None else build.find_recipe(name, "--recipe")


def named_tasks(names: list[str] | None) -> tuple[type[Task], ...]:
    """Return the classes that `--task` names, empty if it was not passed."""
    return tuple(build.find_task(name, "--task") for name in names or ())


def open_recipe(run: Path, name: str | None, tasks: list[str] | None) -> Recipe:
    """Load the recipe of a run.

    Args:
        run: The run directory.
        name: The value of `--recipe`.
        tasks: The values of `--task`.
    """
    check_run(run)  # before Keras is imported
    from kft.family.saving import load

    classes, own_tasks = named_class(name), named_tasks(tasks)
    with waiting(f"Loading {run} ..."):
        return cast("Recipe", load(run, recipe=classes, task=own_tasks))
