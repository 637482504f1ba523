"""`kft tune` and `kft select`."""

from __future__ import annotations

import json as json_module
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kft.arguments import is_number
from kft.cli import build
from kft.cli import options as o
from kft.cli.data_options import Reading, TrainingData, Validation
from kft.cli.early_checks import are_names
from kft.cli.groups import given, grouped
from kft.cli.model_options import Backbone, Model
from kft.cli.recipe_and_data import recipe_and_data
from kft.errors import InputError
from kft.import_path import import_named

if TYPE_CHECKING:
    from kft.recipe.recipe import Recipe

_SEARCH = "Search"


class Algorithm(StrEnum):
    """How the next trial is chosen."""

    random = "random"
    bayesian = "bayesian"
    hyperband = "hyperband"
    grid = "grid"


class Prune(StrEnum):
    """Which trials end early."""

    median = "median"


@grouped
def tune(
    context: typer.Context,
    recipe: o.RecipeName,
    data: TrainingData,
    run_dir: Annotated[
        Path,
        typer.Option(
            help="Directory of the search: trials, features, a report, the best plan. The same "
            "command continues a search that was interrupted."
        ),
    ],
    validation: Validation,
    model: Model,
    reading: Reading,
    max_trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            min=1,
            help="Maximum number of trials. Default: 20.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Begin no further trial after this many minutes. Default: no limit.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs",
            min=1,
            help="Begin no further trial after this many epochs in all trials together. Default: no "
            "limit.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Run trials in this many processes in parallel. Default: in this process.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen at for workers on other machines, which need the same "
            "KFT_TUNE_SECRET in their environment. Default: only this machine.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    algorithm: Annotated[
        Algorithm | None,
        typer.Option(
            help="How the next trial is chosen. Default: random.", rich_help_panel=_SEARCH
        ),
    ] = None,
    prune: Annotated[
        Prune | None,
        typer.Option(
            help="End trials early that are worse than the median of earlier ones.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="A function of KerasTuner's `hp` that declares the search space. Default: rates, "
            "depth, layer decay, warmup, dropout, weight decay, label smoothing.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="The validation metric to optimize. Default: that of the task, such as "
            "val_accuracy.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Score each trial by the mean over this many folds of the data, each validated on by a "
            "fit on the others: better for few examples. Default: one fit per trial.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    stages: o.Stages = None,
    batch_size: o.TrainingBatchSize = None,
    batch_norm: o.BatchNormMode = None,
    refit: Annotated[
        Path | None,
        typer.Option(
            help="Then train the best plan again on training and validation data together, into "
            "this directory.",
            rich_help_panel="Training",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the search and of each fit. Default: 0.", rich_help_panel="Training"
        ),
    ] = None,
    json: o.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result.")] = False,
) -> None:
    """Search for a recipe's stages, rates and other settings.

    All trials share frozen features.

    kft tune ResNetRecipe --data photos/ --run-dir runs/search --trials 20
    """
    from kft.tuning.roles import find_role

    role = find_role(host)  # refused before the data are read, which may take minutes
    build.check_directory("--run-dir", run_dir)
    build.check_directory("--refit", refit)
    settings = given(
        max_trials=max_trials,
        max_seconds=None if minutes is None else _seconds(minutes),
        max_epochs=max_epochs,
        workers=workers,
        host=host,
        algorithm=algorithm,
        prune=prune,
        space=_find_function(space),
        objective=objective,
        folds=folds,
        stages=o.read_stages(stages),
        batch_size=batch_size,
        batch_norm=batch_norm,
        seed=seed,
        verbose=0 if quiet or json else None,
    )
    prepared, train, valid = recipe_and_data(recipe, model, reading, data, validation, seed)
    settings |= given(validation_data=validation.validation_split if valid is None else valid)
    search = prepared.tune(train, run_dir=run_dir, **settings)
    if role is not None and not role.is_chief:
        return
    from kft.cli.best_plan import SCRIPT, with_command

    search = with_command(search, context)
    if not json:
        typer.echo(str(search))
        typer.echo(f"The same as a script: {search.run_dir / SCRIPT}")
        typer.echo(f"Report: {search.run_dir / 'report.html'}")
    if refit is not None:
        search.refit(run_dir=refit, verbose=0)
        if not json:
            typer.echo(f"Refitted on all data: {refit}")
    if json:
        typer.echo(json_module.dumps(search.to_dict(), allow_nan=False))


@grouped
def select(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...",
            help="Recipes to rank. The options below apply to all of them; a recipe's own follow its "
            "name: MobileNetRecipe,model=MobileNetV2,alpha=0.35,weights=FILE.",
        ),
    ],
    data: TrainingData,
    backbone: Backbone,
    reading: Reading,
    json_output: o.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Rank pretrained backbones for the data, without training.

    Each of them runs over the data once.

    kft select --data photos/ ResNetRecipe VGG16Recipe MobileNetRecipe,alpha=0.5
    """
    from kft.data.kinds import SingleLabels
    from kft.tuning.selection import build_all, rank

    candidates = {spelled: _candidate(spelled, backbone) for spelled in recipes}
    build_all(candidates)  # before the data are read, which may take minutes
    examples = reading.read(data, type(candidates[recipes[0]]), SingleLabels())
    ranking = rank(candidates, examples, verbose=0 if quiet else "auto")
    typer.echo(json_module.dumps(ranking.to_dict()) if json_output else str(ranking))


def _candidate(spelled: str, shared: Backbone) -> Recipe:
    """Return the recipe that `NAME,ARGUMENT=VALUE,...` describes.

    Args:
        spelled: The recipe with its own arguments.
        shared: The options for all recipes; a recipe's own arguments override them.
    """
    name, *own = re.split(r",(?=[\w-]+=)", spelled)  # values may contain commas
    recipe_class = build.find_recipe(name)
    try:
        arguments = shared.arguments(recipe_class, own)
        if build.needs_count_from_data(recipe_class, arguments):
            arguments["num_classes"] = 2  # of the head, which a ranking does not use
        return recipe_class(**arguments)
    except InputError as error:
        raise InputError(f"{spelled}: {error}") from error


def _seconds(minutes: float) -> float:
    if not (is_number(minutes) and minutes > 0):
        raise InputError(f"--minutes {minutes}: pass a finite number above 0.")
    return 60 * minutes


def _find_function(spelled: str | None) -> Any:
    if spelled is None:
        return None
    module, _, name = spelled.partition(":")
    try:
        found = getattr(import_named(module), name, None) if are_names(module, name) else None
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        found = None
    if not callable(found):
        raise InputError(
            f"--space {spelled!r} is not a function: write MODULE:FUNCTION, with the directory of "
            "MODULE.py on PYTHONPATH or as the working directory."
        )
    return found
