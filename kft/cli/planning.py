"""`kft plan`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kft.cli import build
from kft.cli import options as o
from kft.cli.groups import given, grouped
from kft.cli.model_options import Model

if TYPE_CHECKING:
    from kft.recipe.recipe import Recipe
    from kft.stages.stage import Stage
    from kft.stages.table import PlanTable

_COUNT = 2  # assumed number of classes


@grouped
def plan(
    recipe: o.RecipeName,
    model: Model,
    num_classes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of classes, or of values for regression. Default: 2."),
    ] = None,
    stages: o.Stages = None,
    batch_norm: o.BatchNormMode = None,
) -> None:
    """Print what each stage would train, without data.

    Pretrained weights are not loaded.

    kft plan ResNetRecipe --model ResNet50 --stages stages.yaml
    """
    chosen = o.read_stages(stages)
    recipe_class = build.find_recipe(recipe)
    arguments = model.arguments(recipe_class)
    assumed, counted = [], True
    if build.needs_count_from_data(recipe_class, arguments):
        named = arguments.get("classes")
        known = num_classes or (len(named) if isinstance(named, list) else None)
        arguments["num_classes"] = known or _COUNT
        counted = known is not None
    planned = recipe_class(**arguments)
    if not counted:
        what = "numbers" if planned.task.name == "regression" else "classes"
        assumed.append(f"{_COUNT} {what} (--num-classes)")
    examples = planned.task.example_classes
    if planned.classes is None and examples is not None:
        planned.name_classes(examples, "a plan")
        assumed.append(f"the classes {', '.join(examples)} (--set classes=[...])")
    if chosen is None:
        assumed.append("the epochs of a few hundred examples (--stages)")
    build.warn_if_random(planned)
    if assumed:
        typer.echo(f"Without data, a plan assumes {' and '.join(assumed)}.")
    typer.echo(str(table_of(planned, chosen, **given(batch_norm=batch_norm))))


def table_of(recipe: Recipe, stages: Sequence[Stage] | None = None, **settings: Any) -> PlanTable:
    """Return the plan of a recipe without loading pretrained weights.

    Args:
        recipe: The recipe.
        stages: The stages. Defaults to the recipe's own.
        **settings: Other arguments of `kft.plan_table`.
    """
    from kft.family.known import title_of
    from kft.stages.table import plan_table

    outline = recipe
    if "weights" in (field.name for field in dataclasses.fields(recipe)):
        random: dict[str, Any] = {"weights": None}
        outline = dataclasses.replace(recipe, **random)
    chosen = outline.usual_stages() if stages is None else stages
    return plan_table(
        outline.model,
        chosen,
        weights=recipe.starting_weights,
        title=title_of(recipe),
        **settings,
    )
