"""`kft find-lr`: a range test of learning rates for a recipe's stages."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from kft.cli import options as o
from kft.cli.data_options import Reading, TrainingData, Validation
from kft.cli.groups import given, grouped
from kft.cli.model_options import Model
from kft.cli.outputs import FIGURES, check_output, save_figure
from kft.cli.recipe_and_data import recipe_and_data

_TEST = "Test"


@grouped
def find_lr(
    recipe: o.RecipeName,
    data: TrainingData,
    validation: Validation,
    model: Model,
    reading: Reading,
    stages: o.Stages = None,
    write_stages: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the stages with the rates found, for `kft fit --stages`."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw loss against rate to a file, such as rates.png or rates.svg."
        ),
    ] = None,
    lowest: Annotated[
        float | None,
        typer.Option(help="The first rate of the head. Default: 1e-07.", rich_help_panel=_TEST),
    ] = None,
    highest: Annotated[
        float | None, typer.Option(help="The last rate. Default: 10.0.", rich_help_panel=_TEST)
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=10,
            help="Rates tried per stage, one batch each. Default: 100.",
            rich_help_panel=_TEST,
        ),
    ] = None,
    settle: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Steps at the rate found before the next stage is tried. Default: --steps.",
            rich_help_panel=_TEST,
        ),
    ] = None,
    batch_size: o.AutoBatchSize = None,
    batch_norm: o.BatchNormMode = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the new layers and of the order of the examples. Default: 0."),
    ] = None,
    json: o.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Suggest a learning rate for each stage, by a range test.

    kft find-lr ResNetRecipe --data photos/ --write-stages stages.yaml
    """
    check_output("--write-stages", write_stages)
    check_output("--plot", plot, FIGURES)

    from kft.stages.stage import write_stages as write

    chosen = o.read_stages(stages)
    prepared, train, valid = recipe_and_data(recipe, model, reading, data, validation, seed)

    from kft.insight.range_test import find_learning_rate

    found = find_learning_rate(
        prepared,
        train,
        **given(
            stages=chosen,
            validation_data=validation.validation_split if valid is None else valid,
            lowest=lowest,
            highest=highest,
            steps=steps,
            settle=settle,
            batch_size=batch_size,
            batch_norm=batch_norm,
            seed=seed,
        ),
        verbose=0 if quiet else "auto",
    )
    if write_stages is not None:
        write_stages.parent.mkdir(parents=True, exist_ok=True)
        write(write_stages, found.stages())
        size = found.batch_size
        condition = "" if size in ("auto", 32) else f", for --batch-size {size}"
        typer.echo(f"Stages: {write_stages}{condition}", err=True)
    if plot is not None:
        save_figure(found.plot(), plot)
    typer.echo(json_module.dumps(found.to_dict()) if json else str(found))
