"""Checks of names and data before Keras is imported, which takes seconds."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from types import ModuleType

import typer

from kft.arguments import did_you_mean, in_words
from kft.backends import BACKENDS, Backend
from kft.backends.configured import OF_KERAS, configured_backend
from kft.cli.environment import WITHOUT_KERAS
from kft.distribution.launch import no_processes
from kft.errors import InputError
from kft.import_path import is_there
from kft.plain_yaml import read_yaml


def check_backend(context: typer.Context) -> None:
    """Refuse a backend that Keras does not have, or that cannot run the command.

    Args:
        context: As for `check_given`.

    Raises:
        InputError: With the name of the backend, and what to set instead.
    """
    if context.info_name in WITHOUT_KERAS:
        return
    name = configured_backend()
    if name not in OF_KERAS:
        raise InputError(
            f"Keras has no backend {name!r}{did_you_mean(name, BACKENDS)}: set KERAS_BACKEND, or `backend` in "
            f"keras.json, to {in_words(BACKENDS)}."
        )
    several = (context.params.get("processes") or 1) > 1
    if several and not BACKENDS.get(name, Backend(name)).is_one_device_per_process:
        raise no_processes(name)


def check_given(context: typer.Context) -> None:
    """Refuse recipes, data and files of stages that do not exist or cannot be read.

    Args:
        context: The command line of a command, parsed.

    Raises:
        InputError: If one of them cannot be used, with the message that a later check would have.
    """
    given = context.params
    for name, option in _recipes(context):
        check_name(name, option)
    for name in ("data", "validation_data", "source"):
        path = given.get(name)
        if path is not None and not os.path.exists(path):
            from kft.data.read import check_there

            check_there(path)
    for path in given.get("inputs") or ():
        check_input(path)
    if given.get("stages") is not None:
        read_yaml(given["stages"], "stages file")  # what it says is checked with the recipe


def check_input(source: str) -> None:
    """Refuse an input of `kft predict` that is not there, before its run is loaded.

    Args:
        source: A path, a pattern, or `-`.

    Raises:
        InputError: If it is none of these.
    """
    from kft.data.files import missing

    if source == "-" or glob.has_magic(source):
        return
    try:
        os.stat(source)
    except FileNotFoundError as error:
        hint = "" if os.path.splitext(source)[1] else "; a text itself goes into --text"
        raise InputError(f"{missing(source)}{hint}") from error
    except (OSError, ValueError):
        pass  # reading it will report the problem


def check_name(name: str, option: str = "RECIPE") -> tuple[str, str]:
    """Check the name of a recipe as far as possible without Keras.

    Args:
        name: As for `find_recipe`.
        option: As for `find_recipe`.

    Returns:
        The module and the class in it.

    Raises:
        InputError: If it is not a name, the package `recipes` has no such recipe, or there is no such
            module.
    """
    module_name, colon, class_name = name.rpartition(":")
    module_name = module_name if colon else "recipes"
    if not are_names(module_name, class_name):
        raise InputError(
            f"{option} {name!r} is not a name: write a recipe of the package recipes, such as "
            "ResNetRecipe, or module:Class for one of your own."
        )
    if module_name.partition(".")[0] == "recipes":
        from kft.family.known import recipes_package

        package = recipes_package()  # not another package of that name
        if module_name == "recipes" and class_name not in package.__all__:
            raise no_recipe(package, class_name, "is not a recipe", option)
    elif not is_there(module_name):
        raise no_module(name, module_name, option)
    return module_name, class_name


def no_module(name: str, module_name: str, option: str) -> InputError:
    """Return the error for a recipe whose module cannot be found."""
    return InputError(
        f"{option} {name!r}: there is no module {module_name!r}; run kft in the directory of "
        f"{module_name}.py, or put that directory on PYTHONPATH."
    )


def no_recipe(module: ModuleType, name: str, problem: str, option: str) -> InputError:
    """Return the error for a recipe that a module does not have."""
    known = ", ".join(getattr(module, "__all__", ())) or "no recipes"
    return InputError(
        f"{option}: {name!r} {problem}{did_you_mean(name, known.split(', '))}; {module.__name__} has "
        f"{known}. Name your own as module:Class."
    )


def are_names(module: str, name: str) -> bool:
    """Return whether these can be the names of a module and of an attribute in it."""
    return all(part.isidentifier() for part in (*module.split("."), name))


def _recipes(context: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield the recipes that were named, each with the option that names it."""
    for spelled in context.params.get("recipes") or ():
        yield spelled.partition(",")[0], "RECIPE"
    name = context.params.get("recipe")
    if name is not None:
        yield name, "--recipe" if "run" in context.params else "RECIPE"
