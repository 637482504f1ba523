"""The recipe and the data for a command."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from kft.cli import build
from kft.cli.data_options import Reading, Validation
from kft.cli.model_options import Model
from kft.data.dataset_parts import sources
from kft.data.examples import Examples

if TYPE_CHECKING:
    from kft.data.streams import Stream
    from kft.recipe.recipe import Recipe


def recipe_and_data(
    name: str,
    model: Model,
    reading: Reading,
    data: str,
    validation: Validation,
    seed: int | None,
) -> tuple[Recipe, Examples | Stream, Examples | Stream | None]:
    """Read the data, and create a recipe for them.

    Args:
        name: The recipe's name.
        model: Its options; `num_classes` comes from the data if it was not passed.
        reading: How the data are read; its `split` is for the training data.
        data: The training data.
        validation: The validation data, or how the training data are split.
        seed: The recipe's seed, None for its default.

    Returns:
        The recipe, the training data and the validation data.
    """
    recipe_class = build.find_recipe(name)
    arguments = model.arguments(recipe_class, seed=seed)
    sketch = build.sketch(recipe_class, arguments)  # refuses wrong arguments before reading
    data, validation_data, note = sources(
        data,
        validation.validation_data,
        recipe_class.modality,
        split=validation.validation_data is None,
    )
    train = reading.read(data, recipe_class, sketch.task, sketch.classes, **validation.split_by())
    if note and isinstance(train, Examples):
        train = dataclasses.replace(train, note=note)
    if build.needs_count_from_data(recipe_class, arguments):
        arguments["num_classes"] = build.count_outputs(train, sketch.task)
    validating = None
    if validation_data is not None:
        validating = reading.read(
            validation_data, recipe_class, sketch.task, train.classes, split=None
        )
    recipe = recipe_class(**arguments)
    build.warn_if_random(recipe)
    return recipe, train, validating
