"""`kft fit`."""

from __future__ import annotations

import json as json_module
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from kft.cli import build
from kft.cli import options as o
from kft.cli.data_options import Reading, TrainingData, Validation
from kft.cli.fit_options import Training
from kft.cli.groups import given, grouped
from kft.cli.model_options import Model
from kft.cli.processes import start
from kft.cli.recipe_and_data import recipe_and_data
from kft.distribution.launch import prints_for_all

_TRAINING = "Training"


@grouped
def fit(
    recipe: o.RecipeName,
    data: TrainingData,
    run_dir: Annotated[
        Path,
        typer.Option(
            help="Directory for the trained recipe, its history and a report. The same command "
            "again continues an unfinished run, and loads a finished one."
        ),
    ],
    validation: Validation,
    model: Model,
    reading: Reading,
    training: Training,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Start over in a new directory, RUN_DIR-2, -3, ..., if --run-dir exists.",
        ),
    ] = False,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=1024,
            help="With KERAS_BACKEND=torch: processes on this machine, each with its part of every "
            "batch; one per GPU.",
            rich_help_panel=_TRAINING,
        ),
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the new layers, the split, the order and the augmentation. Default: 0.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Read the data and print the plan, without training or writing."
        ),
    ] = False,
    json: o.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the result.")] = False,
) -> None:
    """Fine-tune a recipe in stages and save the run.

    kft fit ResNetRecipe --data photos/ --run-dir runs/photos --image-size 160
    """
    from kft.runs.places import RECIPE

    build.check_directory("--run-dir", run_dir)
    if processes > 1 and not dry_run:
        start(processes)
    settings = training.settings() | given(seed=seed, verbose=0 if quiet or json else None)
    prepared, train, valid = recipe_and_data(recipe, model, reading, data, validation, seed)
    settings |= given(validation_data=validation.validation_split if valid is None else valid)
    if fresh:
        from kft.family.directory import unused_path

        run_dir = unused_path(run_dir)
    if dry_run:
        from kft.insight.fit_plan import plan_fit

        typer.echo(str(plan_fit(prepared, train, run_dir=run_dir, **settings)))
        return
    is_finished = os.path.isfile(run_dir / RECIPE)
    run = prepared.fit(train, run_dir=run_dir, **settings)
    if not prints_for_all():
        return
    page = run.report()
    if json:
        typer.echo(json_module.dumps({**run.to_dict(), "report": str(page)}, allow_nan=False))
        return
    if quiet and is_finished:  # without --quiet the fit prints this
        typer.echo(f"{run_dir} is finished: loaded, not trained again.")
    if run.evaluation is not None:
        if "refit" in (run.journal or {}):
            typer.echo("The figures are those of the model before it was trained on everything.")
        typer.echo(f"On the validation data:\n{run.evaluation}")
    typer.echo(f"Report: {page}")
    if not quiet:
        typer.echo(_next_commands(run_dir, recipe))


def _next_commands(run_dir: Path, recipe: str) -> str:
    """Return what can be done with a finished run, as commands, which have to name your own recipe."""
    own = ["--recipe", recipe] if ":" in recipe else []
    run = shlex.join([str(run_dir), *own])
    commands = {
        f"kft predict {run} INPUTS": "answers to new inputs",
        f"kft evaluate {run} --data TEST": "figures on data that the fit has not seen",
        f"kft serve {run}": "a page on this machine to try it",
        f"kft export {run} SERVING": "a SavedModel for TensorFlow Serving",
    }
    width = max(map(len, commands))
    return "\n".join(["Next:", *(f"  {one:{width}}  # {why}" for one, why in commands.items())])
