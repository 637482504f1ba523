"""`kft cross-validate`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from kft.cli import build
from kft.cli import options as o
from kft.cli.data_options import Reading, TrainingData, Validation
from kft.cli.fit_options import Training
from kft.cli.groups import given, grouped
from kft.cli.model_options import Model
from kft.cli.recipe_and_data import recipe_and_data


@grouped
def cross_validate(
    recipe: o.RecipeName,
    data: TrainingData,
    validation: Validation,
    model: Model,
    reading: Reading,
    training: Training,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Parts of the data, each held out from one model. Default: 5."),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            help="Directory with a run for each fold, so that the same command resumes after a kill. "
            "Default: none is kept."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the folds, the new layers and of each fit. Default: 0."),
    ] = None,
    json: o.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Evaluate a recipe on few examples, by cross-validation.

    Each example is predicted by a model that has not seen it.

    kft cross-validate BertRecipe --model minilm/ --data labelled.tsv
    """
    if run_dir is not None:
        build.check_directory("--run-dir", run_dir)
    settings = training.settings() | given(folds=folds, run_dir=run_dir, seed=seed)
    prepared, train, valid = recipe_and_data(recipe, model, reading, data, validation, seed)
    settings |= given(validation_data=validation.validation_split if valid is None else valid)

    from kft.insight.cross_validation import cross_validate

    found = cross_validate(prepared, train, **settings, verbose=0 if quiet else "auto")
    typer.echo(json_module.dumps(found.to_dict()) if json else str(found))
