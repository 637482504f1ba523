"""Opening a run: which class its recipe has, if it is one that does not come with kft."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kft.cli import build
from kft.runs.places import check_run

if TYPE_CHECKING:
    from kft.recipe import Recipe

RunRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="MODULE:CLASS",
        help="The recipe's class, for a run of one of your own. What a run names is never imported; "
        "the recipes that come with kft are found without this.",
        show_default=False,
    ),
]


def named_class(name: str | None) -> type[Recipe] | None:
    """Return the class that `--recipe` names, None where it was not given."""
    return None if name is None else build.find_recipe(name, "--recipe")


def open_recipe(run: Path, name: str | None) -> Recipe:
    """Load the recipe of a run.

    Args:
        run: The run directory.
        name: What `--recipe` names.
    """
    check_run(run)  # before Keras is imported
    from kft.saving import load

    return load(run, recipe=named_class(name))
