"""`kft find-lr`: the learning rates that a recipe's stages can take."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from kft.cli import build
from kft.cli import options as o
from kft.cli.training import BatchNorm, Stages
from kft.errors import InputError

_TEST = "Test"


def find_lr(
    recipe: o.Recipe,
    data: Annotated[
        str,
        typer.Option(
            help="Training data, of the kinds that `kft fit` takes.", rich_help_panel="Data"
        ),
    ],
    stages: Stages = None,
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
        float, typer.Option(help="The first rate of the head.", rich_help_panel=_TEST)
    ] = 1e-7,
    highest: Annotated[float, typer.Option(help="The last rate.", rich_help_panel=_TEST)] = 10.0,
    steps: Annotated[
        int, typer.Option(min=10, help="Rates tried a stage, a batch each.", rich_help_panel=_TEST)
    ] = 100,
    settle: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Steps at the rate found before the next stage is tried. Default: --steps.",
            rich_help_panel=_TEST,
        ),
    ] = None,
    batch_size: o.BatchSize = 32,
    batch_norm: Annotated[
        BatchNorm, typer.Option(help="What the backbone's BatchNorm layers do.")
    ] = BatchNorm.frozen,
    seed: Annotated[
        int, typer.Option(help="Seed of the new layers and of the order of the examples.")
    ] = 0,
    model: o.Model = None,
    weights: o.Weights = None,
    image_size: o.ImageSize = None,
    task: o.TaskOption = o.Task.single_label,
    pooling: o.Pooling = None,
    hidden: o.Hidden = None,
    dropout: o.Dropout = None,
    settings: o.Settings = None,
    precision: o.PrecisionOption = None,
    text_column: o.TextColumn = "text",
    path_column: o.PathColumn = "path",
    label_column: o.LabelColumn = None,
    encoding: o.Encoding = "utf-8",
    max_pixels: o.MaxPixels = None,
    split: o.Split = None,
    on_bad_example: o.OnBad = o.OnBadExample.error,
    json: o.Json = False,
) -> None:
    """Suggest a learning rate for each stage, by a range test.

    kft find-lr ResNetRecipe --data photos/ --write-stages stages.yaml
    """
    from kft.stages import read_stages
    from kft.stages import write_stages as write

    recipe_class = build.find_recipe(recipe)
    arguments = build.recipe_arguments(
        recipe_class,
        {
            "model": model,
            "weights": weights,
            "image_size": image_size,
            "pooling": pooling,
            "hidden": hidden,
            "dropout": dropout,
            "seed": seed,
            "precision": precision,
            "task": task.value,
        },
        settings or (),
    )
    chosen = None if stages is None else read_stages(stages)
    prepared, train, _ = build.recipe_and_data(
        recipe_class,
        arguments,
        data,
        None,
        split=split,
        task=task.value,
        text_column=text_column,
        path_column=path_column,
        label_column=label_column,
        encoding=encoding,
        max_pixels=max_pixels,
        on_bad_example=on_bad_example.value,
    )

    from kft.range_test import find_learning_rate

    found = find_learning_rate(
        prepared,
        train,
        chosen,
        lowest=lowest,
        highest=highest,
        steps=steps,
        settle=settle,
        batch_size=batch_size,
        batch_norm=batch_norm.value,
        seed=seed,
    )
    if write_stages is not None:
        write(write_stages, found.stages())
    if plot is not None:
        save_figure(found.plot(), plot)
    typer.echo(json_module.dumps(found.to_dict()) if json else str(found))


def save_figure(drawn: Any, path: Path) -> None:
    """Write a figure to a file whose ending says the format.

    Raises:
        InputError: If the ending is no format, or the file cannot be written.
    """
    try:
        drawn.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: the figure cannot be written ({error}); pass a .png, .svg or .pdf."
        ) from error
