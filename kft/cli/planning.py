"""`kft plan`."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from kft.cli import build
from kft.cli import options as o
from kft.cli.groups import given, grouped


@grouped
def plan(
    recipe: o.RecipeName,
    model: o.Model,
    num_classes: Annotated[
        int, typer.Option(min=1, help="Number of classes, or of values for regression.")
    ] = 2,
    stages: o.Stages = None,
    batch_norm: o.BatchNormMode = None,
) -> None:
    """Print what each stage would train, without data and without loading pretrained weights.

    kft plan ResNetRecipe --model ResNet50 --stages stages.yaml
    """
    chosen = o.read_stages(stages)
    recipe_class = build.find_recipe(recipe)
    planned = recipe_class(**{"num_classes": num_classes, **model.arguments(recipe_class)})
    build.say_if_random(planned)
    outline = planned
    if "weights" in (field.name for field in dataclasses.fields(planned)):
        random: dict[str, Any] = {"weights": None}  # the same model: nothing is loaded for it
        outline = dataclasses.replace(planned, **random)

    from kft.tables import plan_table

    table = plan_table(
        outline.model,
        chosen or outline.default_stages(),
        weights=planned.starting_weights,
        **given(batch_norm=batch_norm),
    )
    typer.echo(str(table))
