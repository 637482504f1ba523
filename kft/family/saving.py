"""A trained recipe as a directory, saved and loaded: JSON and safetensors, nothing that runs code."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kft.arguments import path_of, shown
from kft.arguments.calls import checked_call
from kft.errors import InputError
from kft.family import distances
from kft.family.description import (
    check_described,
    errors_naming_file,
    read_description,
    write_description,
)
from kft.family.hooks import Family
from kft.family.known import known_recipe
from kft.family.more_classes import take_weights, with_more_classes
from kft.family.weights import check_outline, load_weights, save_weights
from kft.import_path import can_be_one_class, path_of_class
from kft.model.graph import settle
from kft.runs import atomic
from kft.runs.places import RECIPE, is_empty
from kft.tasks import Task
from kft.tasks.saved import check_used, checked_classes, restored

WEIGHTS = "weights.safetensors"


def save(recipe: Family, directory: str | os.PathLike, *, plan: Mapping | None = None) -> Path:
    """Write a trained recipe to a directory that `load` reads on any backend.

    The directory is written completely or not at all.

    Args:
        recipe: The recipe.
        directory: A directory that does not exist yet or is empty.
        plan: The plan of the training, ready for JSON.

    Returns:
        The directory.

    Raises:
        InputError: If the directory is not empty, or cannot be written to.
    """
    directory = path_of("directory", directory)
    if os.path.exists(directory) and not (os.path.isdir(directory) and is_empty(directory)):
        raise InputError(f"`{directory}` exists already: pass a new directory to save to.")
    with atomic.being_written(directory) as hidden:
        write(recipe, hidden, plan=plan)
    return directory


@checked_call
def load(
    directory: str | os.PathLike,
    *,
    recipe: type[Family] | None = None,
    task: type[Task] | Sequence[type[Task]] = (),
    more_classes: str | Sequence[str] = (),
) -> Family:
    """Load a trained recipe, whichever backend trained it.

    The directory may come from an untrusted source: no class that its files name is imported, and no
    more is read or built than a run contains. The recipes and tasks of kft itself are found without
    being passed.

    Args:
        directory: A run directory, written by `fit(run_dir=...)` or `Recipe.save`.
        recipe: The class of the recipe, if it is your own. Defaults to the class of kft that the
            directory names.
        task: The class of the recipe's task, if it is your own; several if `Several` combines such
            tasks. Defaults to none.
        more_classes: Names of further classes for the recipe to learn. They follow the known ones,
            whose scores keep their weights; those of the new classes are random until the next
            `fit`. Defaults to none.

    Returns:
        The recipe, ready to `predict`, `evaluate`, `export`, or to be fitted further.

    Raises:
        InputError: If the directory is not a run directory, is damaged, or contains a recipe or task
            of another class or of your own that was not passed; or if classes to add exist already,
            or the task has no classes.

    Example:

    ```python
    recipe = kft.load("runs/flowers")
    print(recipe.predict(["a.jpg"]))

    mine = kft.load("runs/mine", recipe=MyRecipe, task=MyTask)
    ```
    """
    directory = path_of("directory", directory)
    content = read_description(directory)
    recipe_class = _chosen_class(content["class"], directory, recipe)
    own_tasks = checked_classes(task)

    def rebuild(**changed: Any) -> Family:
        with errors_naming_file(directory / RECIPE, content["class"]):
            arguments = {**copy.deepcopy(content["arguments"]), **changed}
            if "task" in arguments:
                arguments["task"] = restored(arguments["task"], own_tasks)
            return recipe_class.rebuild(arguments, directory)

    is_known = known_recipe(content["class"]) is recipe_class
    check_outline(rebuild, directory / WEIGHTS, may_fail=not is_known)
    rebuilt = rebuild()
    check_used(rebuilt.task, own_tasks)
    _restore(rebuilt, directory, content)
    if isinstance(more_classes, tuple) and not more_classes:
        return rebuilt
    names = with_more_classes(rebuilt, more_classes)
    wider = rebuild(num_classes=len(names))
    wider.name_classes(names, "`classes`")
    wider.restore(rebuilt.state())
    wider.use_thresholds(rebuilt.thresholds)
    take_weights(wider, rebuilt)
    wider.restore_files(directory)
    wider.is_fitted, wider.loaded_from = True, directory
    return wider


def restore(recipe: Family, directory: Path) -> None:
    """Load the classes, the state and the weights of a run directory into a recipe.

    Args:
        recipe: A recipe with the arguments of the saved one.
        directory: The run directory.

    Raises:
        InputError: If the directory is damaged or holds another recipe.
    """
    _restore(recipe, directory, read_description(directory))


def _restore(recipe: Family, directory: Path, content: Mapping[str, Any]) -> None:
    with errors_naming_file(directory / RECIPE, content["class"]):
        _take_classes(recipe, content)
        check_described(recipe, content)
        recipe.restore(content["state"])
        recipe.use_thresholds(content.get("thresholds", {}))
        recipe.restore_files(directory)
        recipe.distances = distances.read(directory)
    load_weights(recipe.model.weights, directory / WEIGHTS, content["weights_sha256"])
    settle(recipe.model)
    recipe.is_fitted, recipe.loaded_from = True, directory


def _take_classes(recipe: Family, content: Mapping[str, Any]) -> None:
    """Set the classes of a recipe to those of a run; one that was saved untrained may have none."""
    saved = content["classes"]
    if saved is None and content["plan"] is None:
        return
    recipe.name_classes(saved, "`classes`")
    if json.loads(json.dumps(recipe.classes)) != saved:
        raise InputError(
            f"`classes` is {shown(saved)}, but the run's task {recipe.task.name!r} has classes, each "
            "with a name: restore it from a copy."
        )


def write(recipe: Family, directory: Path, *, plan: Mapping | None = None) -> None:
    """Write the files of a recipe into an existing directory.

    Args:
        recipe: The recipe.
        directory: The directory to write to; `kft.runs.atomic.being_written` publishes it at once.
        plan: The plan of the training, ready for JSON.
    """
    sha256 = save_weights(recipe.model.weights, directory / WEIGHTS)
    distances.write(recipe.distances, directory)
    recipe.save_files(directory)
    write_description(recipe, directory, weights_sha256=sha256, plan=plan)


def _chosen_class(path, directory, given):
    """Return the class to build: the one that was passed if it matches the run's, or one of kft's own."""
    if given is None:
        known = known_recipe(path)
        if known is None:
            raise InputError(_ask_for_class(path, directory))
        return known
    if not (isinstance(given, type) and issubclass(given, Family)):
        raise InputError(
            f"`recipe={given!r}` is not a recipe's class: pass a subclass of kft.Recipe."
        )
    if not can_be_one_class(path, path_of_class(given)):
        raise InputError(
            f"`{directory}` holds a recipe of the class `{path}`, but `{path_of_class(given)}` was "
            "passed: pass the class that it was trained with. If that has moved, write its new "
            f"path into {directory / RECIPE}."
        )
    return given


def _ask_for_class(path, directory):
    module, _, name = path.rpartition(":")
    where = f"--recipe {path}"
    if module == "__main__":
        where = f"--recipe MODULE:{name} once the class lies in a module"
    return (
        f"`{directory}` holds a recipe of the class `{path}`, which does not come with kft; a run is "
        "data, not code, so what it names is not imported. If you have that class, pass it: "
        f"kft.load({str(directory)!r}, recipe={name}), or on the command line {where}."
    )
