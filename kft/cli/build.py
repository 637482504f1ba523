"""Recipes and data from the options of a command."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer

from kft.arguments import did_you_mean, shortened
from kft.cli.early_checks import are_names, check_name, no_module, no_recipe
from kft.cli.task_arguments import task_fields, with_task
from kft.errors import InputError
from kft.import_path import attribute_of, import_named
from kft.plain_yaml import parse_yaml

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.data.streams import Stream
    from kft.data.targets import TargetKind
    from kft.recipe.recipe import Recipe
    from kft.tasks import Task

_LISTED = 20  # skipped files that are printed by name


def find_recipe(name: str, option: str = "RECIPE") -> type[Recipe]:
    """Return the recipe class with the given name.

    Args:
        name: A name in the package `recipes`, or `module:Class`.
        option: The option that named it, for messages.

    Raises:
        InputError: If there is no such class, or it is not a recipe.
    """
    module_name, class_name = check_name(name, option)
    from kft.recipe.recipe import Recipe

    module = _imported(module_name, name, option)
    found = attribute_of(module, class_name)
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        problem = "is not a recipe" if found is None else "is not a kft.Recipe"
    elif hasattr(found, "modality"):
        return found
    else:
        problem = "is only a base class of recipes"
    raise no_recipe(module, class_name, problem, option)


def find_task(name: str, option: str) -> type[Task]:
    """Return the task class with the given name.

    Args:
        name: `module:Class`.
        option: The option that named it, for messages.

    Raises:
        InputError: If there is no such class, or it is not a task.
    """
    from kft.tasks import Task

    module_name, _, class_name = name.rpartition(":")
    if not are_names(module_name, class_name):
        raise InputError(f"{option} {name!r} is not a name: write module:Class of your task.")
    found = attribute_of(_imported(module_name, name, option), class_name)
    if not (isinstance(found, type) and issubclass(found, Task)):
        problem = "is not there" if found is None else "is not a kft.tasks.Task"
        raise InputError(f"{option}: {class_name!r} {problem}; write module:Class of your task.")
    return found


def _imported(module_name: str, name: str, option: str) -> ModuleType:
    """Import the module of a class by its name."""
    try:
        return import_named(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists, but one of its imports does not
        raise no_module(name, module_name, option) from error


def recipe_arguments(
    recipe_class: type[Recipe],
    given: Mapping[str, Any],
    extra: Sequence[str],
    own: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the constructor's arguments from options and `--set NAME=VALUE`s.

    Arguments that were not passed are left out, so that the recipe's own defaults apply.

    Args:
        recipe_class: The recipe.
        given: The options that were passed. `model` means the recipe's first argument.
        extra: `NAME=VALUE` texts with values in YAML.
        own: Further ones, which override all others.

    Raises:
        InputError: If a value does not parse, an argument is repeated or missing, or the recipe
            has no such argument.
    """
    fields = {field.name: field for field in dataclasses.fields(recipe_class) if field.init}
    first = first_argument(recipe_class)
    arguments = dict(given)
    if "model" in arguments:
        if first is None:
            raise InputError(f"--model: {recipe_class.__name__} has only one model; leave it out.")
        arguments[first] = arguments.pop("model")
    for name, parse in _PARSED.items():
        if name in arguments:
            arguments[name] = parse(arguments[name])
    arguments |= _settings(extra, first, taken=arguments)
    arguments |= _settings(own, first)
    known = {*fields, *task_fields(recipe_class, arguments.get("task"))}
    for name in arguments:
        if name not in known:
            option = "--set" if name not in given else f"--{name.replace('_', '-')}"
            raise InputError(
                f"{option}: {recipe_class.__name__} has no argument {name!r}{did_you_mean(name, known)}; "
                f"it has these: {', '.join(map(repr, sorted(known)))}."  # quoted: not worded as options
            )
    if str(arguments.get("weights", "")).lower() == "none":
        arguments["weights"] = None
    for name, field in fields.items():
        needed = field.default is field.default_factory is dataclasses.MISSING
        if needed and name not in arguments and name != "num_classes":
            option = "--model" if name == first else f"--set {name}=VALUE"
            raise InputError(f"{recipe_class.__name__} needs {name!r}: pass {option}.")
    return with_task(recipe_class, arguments)


def first_argument(recipe_class: type[Recipe]) -> str | None:
    """Return the name of a recipe's positional argument, None if it has none."""
    fields = dataclasses.fields(recipe_class)
    return next((field.name for field in fields if field.init and not field.kw_only), None)


def sketch(recipe_class: type[Recipe], arguments: Mapping[str, Any]) -> Recipe:
    """Return a recipe with these arguments for which the data are not known yet.

    It refuses wrong arguments before data are read, which may take minutes, and provides the task.

    Args:
        recipe_class: The recipe's class.
        arguments: The result of `recipe_arguments`.
    """
    if not needs_count_from_data(recipe_class, arguments):
        return recipe_class(**arguments)
    classes = arguments.get("classes")
    count = len(classes) if isinstance(classes, list) else 2
    return recipe_class(**{"num_classes": count, **arguments})


def needs_count_from_data(recipe_class: type[Recipe], arguments: Mapping[str, Any]) -> bool:
    """Return whether `num_classes` comes from the data: it is not passed, and the task needs it.

    Args:
        recipe_class: The recipe's class, whose default may be a task object.
        arguments: The result of `recipe_arguments`.
    """
    from kft.tasks.forms import takes_count

    defaults = {field.name: field.default for field in dataclasses.fields(recipe_class)}
    task = arguments.get("task", defaults["task"])
    name = getattr(arguments.get("task"), "name", task)  # `with_task` replaces short names by tasks
    return "num_classes" not in arguments and isinstance(name, str) and takes_count(name)


def warn_if_random(recipe: Recipe) -> None:
    """Warn on standard error if a model starts from random weights."""
    if not recipe.starting_weights.pretrained:
        typer.echo("kft: the model starts from random weights: nothing is pretrained.", err=True)


def check_directory(option: str, path: Path | None) -> None:
    """Refuse a directory that cannot be created, before the work whose result it is for.

    Args:
        option: The option that names it.
        path: The directory, None if the option was not passed.

    Raises:
        InputError: If the path leads through a file, is too long, or is not a directory.
    """
    try:
        is_directory = path is None or stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or error
        raise InputError(
            f"{option} {shortened(str(path))}: {detail}; pass the path of a new directory."
        ) from error
    if not is_directory:
        raise InputError(f"{option} {path}: not a directory; pass the path of a new one.")


def read_data(
    source: str | Path,
    *,
    modality: str,
    task: TargetKind,
    label_column: Sequence[str] = (),
    **others: Any,
) -> Examples | Stream:
    """Read the data of a command, and list skipped examples on standard error.

    Args:
        source: The data as passed on the command line.
        modality: The modality of the recipe.
        task: The task.
        label_column: Names of label columns; empty for the default.
        **others: Other arguments of `kft.data.read`, by their names there.
    """
    from kft.data.read import read

    if label_column:
        others["label_column"] = label_column[0] if len(label_column) == 1 else label_column
    try:
        data = read(str(source), task=task, modality=modality, **others)
    except OSError as error:
        raise InputError(f"{shortened(str(source))}: {error.strerror or error}.") from error
    skipped = getattr(data, "skipped", ())
    for one in skipped[:_LISTED]:
        typer.echo(f"skipped {one.name}: {one.reason}", err=True)
    if len(skipped) > _LISTED:
        typer.echo(f"skipped {len(skipped) - _LISTED} more", err=True)
    return data


def count_outputs(data: Examples | Stream, task: TargetKind) -> int:
    """Return the `num_classes` of a recipe for some data.

    Args:
        data: The training data.
        task: The task that they were read for.

    Raises:
        InputError: If the data do not determine it.
    """
    outputs = task.width_for(getattr(data, "targets", None), data.classes)
    if outputs is None:
        raise InputError(f"{data.source} does not name its classes: pass --set num_classes=N.")
    return outputs


def whole_number(text: str) -> int | None:
    """Return the number in a text; None for anything but a few ASCII digits."""
    return int(text) if re.fullmatch(r"\s*[0-9]{1,9}\s*", text) else None


def _parse_size(text: str) -> tuple[int, int]:
    sides = [whole_number(side) for side in text.lower().split("x")]
    if len(sides) > 2 or sides[0] is None or sides[-1] is None:
        raise InputError(
            f"--image-size {shortened(text)!r}: write 160, or 160x224 for height x width."
        )
    return sides[0], sides[-1]


def _parse_widths(text: str) -> tuple[int, ...]:
    widths = [whole_number(width) for width in text.split(",")]
    if None in widths:
        raise InputError(
            f"--hidden {shortened(text)!r}: write widths with commas between, such as 256,64."
        )
    return tuple(width for width in widths if width is not None)


_PARSED = {"image_size": _parse_size, "hidden": _parse_widths}
# The separators of arguments with several parts.
JOINED = {"image_size": "x", "hidden": ",", "lora_layers": ",", "monitor": ":"}


def _settings(
    texts: Sequence[str], first: str | None, taken: Container[str] = ()
) -> dict[str, Any]:
    """Return the arguments in `NAME=VALUE` texts; `model` means the recipe's first one."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.replace("-", "_")
        if not equals or not name.isidentifier():
            raise InputError(
                f"--set {shortened(text)!r}: write NAME=VALUE, such as --set alpha=0.35."
            )
        name = first if name == "model" and first is not None else name
        if name in found or name in taken:
            raise InputError(f"--set {text!r}: {name!r} is given twice, leave one out.")
        parsed = parse_yaml(value, f"--set {name}: the value")
        parse = _PARSED.get(name)
        found[name] = parse(parsed) if parse is not None and isinstance(parsed, str) else parsed
    return found
