"""From what a person typed to a recipe and its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kft.errors import InputError
from kft.import_path import attribute_of, import_named

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.data.streams import Stream
    from kft.recipe import Recipe

_LISTED = 20  # skipped files that are printed by name


def find_recipe(name: str, option: str = "RECIPE") -> type[Recipe]:
    """Return the recipe class that a person named.

    Args:
        name: A name in the package `recipes`, or `module:Class`.
        option: What they named it with, for messages.

    Raises:
        InputError: If there is no such class, or it is not a recipe.
    """
    from kft.known_recipes import recipes_package
    from kft.recipe import Recipe

    module_name, _, class_name = name.rpartition(":")
    module_name = module_name or "recipes"
    if module_name.partition(".")[0] == "recipes":
        recipes_package()  # not another package of that name
    try:
        module = import_named(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something that it imports is not
        raise InputError(
            f"{option} {name!r}: there is no module {module_name!r}; run kft in the directory of "
            f"{module_name}.py, or put that directory on PYTHONPATH."
        ) from error
    found = attribute_of(module, class_name)
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        known = ", ".join(getattr(module, "__all__", ())) or "no recipes"
        problem = "is no kft.Recipe" if found is not None else "is not there"
        raise InputError(
            f"{option} {name!r}: {class_name!r} {problem}; {module_name} has {known}. For one of "
            "your own write module:Class."
        )
    return found


def recipe_arguments(
    recipe_class: type[Recipe], given: Mapping[str, Any], extra: Sequence[str]
) -> dict[str, Any]:
    """Return the constructor's arguments from the options and the `--set NAME=VALUE`s.

    Args:
        recipe_class: The recipe.
        given: Option name to its value, None where it was not given. `model` stands for whatever
            the recipe takes first.
        extra: `NAME=VALUE` texts, the values YAML.

    Raises:
        InputError: If a value does not parse, or the recipe has no such argument.
    """
    import yaml

    fields = [field for field in dataclasses.fields(recipe_class) if field.init]
    first = next((field.name for field in fields if not field.kw_only), None)
    arguments = {name: value for name, value in given.items() if value is not None}
    if "model" in arguments:
        if first is None:
            raise InputError(f"--model: {recipe_class.__name__} has only one model; leave it out.")
        arguments[first] = arguments.pop("model")
    if "image_size" in arguments:
        arguments["image_size"] = _parse_size(arguments["image_size"])
    if "hidden" in arguments:
        arguments["hidden"] = _parse_widths(arguments["hidden"])
    if str(arguments.get("weights")).lower() == "none":
        arguments["weights"] = None
    for text in extra:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text!r}: write NAME=VALUE, such as --set alpha=0.35.")
        try:
            arguments[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text!r}: the value is not YAML ({error}).") from error
    names = [field.name for field in fields]
    for name in arguments:
        if name not in names:
            option = "--set" if name not in given else f"--{name.replace('_', '-')}"
            raise InputError(
                f"{option}: {recipe_class.__name__} has no argument {name!r}; it has "
                f"{', '.join(names)}."
            )
    missing = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and field.name not in (*arguments, "num_classes")
    ]
    if missing:
        option = "--model" if missing[0] == first else f"--set {missing[0]}=VALUE"
        raise InputError(f"{recipe_class.__name__} needs {missing[0]!r}: pass {option}.")
    return arguments


def read_data(
    source: str | Path,
    *,
    modality: str,
    task: str,
    label_column: Sequence[str] | None,
    max_pixels: int | None,
    classes: Sequence[str] | None = None,
    **columns: Any,
) -> Examples | Stream:
    """Read the data of a command and say what was skipped.

    Args:
        source: What the person passed.
        modality: What the recipe takes that they are for.
        task: The task.
        label_column: Names of label columns, None for `label`.
        max_pixels: The largest image, None for the usual limit.
        classes: The classes of the training, for data to validate or test with.
        **columns: The other arguments of `kft.data.read`, by their names there.
    """
    from kft.data.read import read

    if label_column:
        columns["label_column"] = label_column[0] if len(label_column) == 1 else label_column
    if max_pixels is not None:
        columns["max_pixels"] = max_pixels
    data = read(str(source), task=task, modality=modality, classes=classes, **columns)
    skipped = getattr(data, "skipped", ())
    for one in skipped[:_LISTED]:
        typer.echo(f"skipped {one.name}: {one.reason}", err=True)
    if len(skipped) > _LISTED:
        typer.echo(f"skipped {len(skipped) - _LISTED} more", err=True)
    return data


def count_outputs(data: Examples | Stream, task: str) -> int:
    """Return the `num_classes` of a recipe for these data.

    Raises:
        InputError: If the data do not tell.
    """
    if data.classes is not None:
        return len(data.classes)
    targets = getattr(data, "targets", None)
    if task == "regression" and targets is not None:
        return 1 if targets.ndim == 1 else targets.shape[1]
    raise InputError(f"{data.source} does not name its classes: pass --set num_classes=N.")


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdigit() for side in sides):
        raise InputError(f"--image-size {text!r}: write 160, or 160x224 for height x width.")
    return int(sides[0]), int(sides[-1])


def _parse_widths(text: str) -> tuple[int, ...]:
    widths = [width.strip() for width in text.split(",")]
    if not all(width.isdigit() for width in widths):
        raise InputError(f"--hidden {text!r}: write widths with commas between, such as 256,64.")
    return tuple(int(width) for width in widths)
