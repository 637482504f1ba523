"""A trained recipe as a directory, and back: plain JSON and safetensors, nothing that runs code."""

from __future__ import annotations

import copy
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from kft.arguments import path_of
from kft.errors import InputError
from kft.family import distances
from kft.family.hooks import Family
from kft.family.known import known_recipe
from kft.family.weights import check_outline, load_weights, save_weights
from kft.import_path import can_be_one_class, path_of_class
from kft.runs import reading
from kft.runs.files import sync, sync_tree, writing_to
from kft.runs.hidden import hidden_directory, remove_hidden
from kft.runs.places import RECIPE, is_empty, no_run
from kft.tasks import Task
from kft.tasks.saved import check_used, checked_classes, restored

FORMAT = 1
WEIGHTS = "weights.safetensors"
_HIDDEN = ".writing-"
_TRIED = ".tried"
_MISSING = object()


def _is_class_path(value: Any) -> bool:
    return isinstance(value, str) and 0 < value.find(":") < len(value) - 1 and len(value) < 500


def _is_names(value: Any) -> bool:
    if isinstance(value, dict):  # those of several tasks
        return all(map(_is_names, value.values()))
    return value is None or (isinstance(value, list) and all(isinstance(v, str) for v in value))


# What `load` needs of recipe.json, and whether a value will do.
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "class": _is_class_path,
    "arguments": lambda value: isinstance(value, dict),
    "classes": _is_names,
    "state": lambda value: isinstance(value, dict),
    "weights_sha256": lambda value: isinstance(value, str),
    "plan": lambda value: value is None or isinstance(value, dict),
}


def save(recipe: Family, directory: str | os.PathLike, *, plan: Mapping | None = None) -> Path:
    """Write a trained recipe to a directory that `load` reads on any backend.

    The directory appears whole or not at all.

    Args:
        recipe: The recipe.
        directory: A directory that does not exist yet or is empty.
        plan: What was trained, ready for JSON.

    Returns:
        The directory.

    Raises:
        InputError: If the directory holds something, or cannot be written to.
    """
    directory = path_of("directory", directory)
    if directory.exists() and not (directory.is_dir() and is_empty(directory)):
        raise InputError(f"`{directory}` exists already: pass a new directory to save to.")
    with being_written(directory) as hidden:
        write(recipe, hidden, plan=plan)
    return directory


def load(
    directory: str | os.PathLike,
    *,
    recipe: type[Family] | None = None,
    task: type[Task] | Sequence[type[Task]] = (),
) -> Family:
    """Load a trained recipe, whichever backend trained it.

    The directory can come from a stranger: nothing that its files name is imported, and no more is
    read or built than a run holds. The recipes and the tasks that come with kft are found by
    themselves.

    Args:
        directory: A run directory, written by `fit(run_dir=...)` or `Recipe.save`.
        recipe: The class of the recipe, for one of your own. Defaults to kft's own class that the
            directory names.
        task: The class of the recipe's task, for one of your own; several where `Several` holds such
            tasks. Defaults to none.

    Returns:
        The recipe, ready to `predict`, `evaluate`, `export`, or to be fitted further.

    Raises:
        InputError: If the directory is not a run directory, holds a recipe or task of another class
            or one of your own that was not passed, or is damaged.

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

    def rebuild() -> Family:
        with damage_named(directory, content["class"]):
            arguments = copy.deepcopy(content["arguments"])
            if "task" in arguments:
                arguments["task"] = restored(arguments["task"], own_tasks)
            return recipe_class.rebuild(arguments, directory)

    is_known = known_recipe(content["class"]) is recipe_class
    check_outline(rebuild, directory / WEIGHTS, may_fail=not is_known)
    rebuilt = rebuild()
    check_used(rebuilt.task, own_tasks)
    _restore(rebuilt, directory, content)
    return rebuilt


def restore(recipe: Family, directory: Path) -> None:
    """Give a recipe the classes, the state and the weights that lie in a run directory.

    Args:
        recipe: A recipe with the arguments of the saved one.
        directory: The run directory.

    Raises:
        InputError: If the directory is damaged or holds another recipe.
    """
    _restore(recipe, directory, read_description(directory))


def _restore(recipe: Family, directory: Path, content: Mapping[str, Any]) -> None:
    with damage_named(directory, content["class"]):
        if content["classes"] is not None:
            recipe.name_classes(content["classes"], "`classes`")
        recipe.restore(content["state"])
        recipe.restore_files(directory)
        recipe.distances = distances.read(directory)
    load_weights(recipe.model, directory / WEIGHTS, content["weights_sha256"])
    recipe.is_fitted, recipe.loaded_from = True, directory


def read_description(directory: Path) -> dict[str, Any]:
    """Read the `recipe.json` of a run directory, its values of the right types.

    Raises:
        InputError: If the directory is not a finished run, is one of another version of kft, or is
            damaged.
    """
    path = directory / RECIPE
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"`{path}` holds no JSON object: restore it from a copy.")
    if content.get("format") != FORMAT:
        versions = content.get("versions")
        by = versions.get("kft") if isinstance(versions, dict) else None
        raise InputError(
            f"`{path}` has format {content.get('format')!r:.100}, but this version of kft reads "
            f"format {FORMAT}: load it with kft {by!s:.100}."
        )
    wrong = [name for name, fits in _FIELDS.items() if not fits(content.get(name, _MISSING))]
    if wrong:
        raise InputError(
            f"`{path}` is damaged (see {', '.join(wrong)} in it): restore it from a copy."
        )
    return content


def write(recipe: Family, directory: Path, *, plan: Mapping | None = None) -> None:
    """Write the files of a recipe into an existing directory.

    Args:
        recipe: The recipe.
        directory: Where to; `being_written` makes it appear at once.
        plan: What was trained, ready for JSON.
    """
    sha256 = save_weights(recipe.model, directory / WEIGHTS)
    distances.write(recipe.distances, directory)
    recipe.save_files(directory)
    content = {
        "format": FORMAT,
        "class": class_path(recipe),
        "arguments": recipe.arguments(),
        "classes": recipe.classes,
        "task": recipe.task.name,
        "modality": recipe.modality,
        "state": recipe.state(),
        "weights_sha256": sha256,
        "plan": plan,
        "versions": versions(),
    }
    write_json(directory / RECIPE, content)


@contextmanager
def being_written(directory: Path) -> Iterator[Path]:
    """Give a hidden directory, whose files appear in `directory` when the block ends.

    A block that raises leaves nothing behind, and what killed processes left is removed. A new
    directory appears at once. Into one that exists, which may be all of a volume, the files are
    moved one by one, `recipe.json` last, since that is what `load` looks for.

    Args:
        directory: Where the files go.

    Raises:
        WriteError: If the directory cannot be written to.
    """
    directory = Path(directory)
    is_new = not directory.exists()
    parent = directory.parent if is_new else directory
    remove_hidden(parent, _HIDDEN)
    with writing_to(directory), hidden_directory(parent, _HIDDEN) as hidden:
        yield hidden
        sync_tree(hidden)
        if is_new:
            hidden.rename(directory)
        else:
            for path in sorted(hidden.iterdir(), key=lambda path: path.name == RECIPE):
                target = directory / path.name
                if target.is_dir():
                    shutil.rmtree(target)
                path.replace(target)
        sync(parent)


def remove_half_written(directory: Path) -> None:
    """Remove what processes that were killed have half written to a directory."""
    remove_hidden(directory, _HIDDEN)


def try_writing(directory: Path) -> None:
    """Write an empty file as `being_written` writes results, and remove it.

    Args:
        directory: Where results will go.

    Raises:
        WriteError: What would fail at the end fails now.
    """
    with writing_to(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with being_written(directory) as hidden:
            (hidden / _TRIED).touch()
        (directory / _TRIED).unlink()


def class_path(recipe: Family) -> str:
    """Return the `module:Class` of a recipe, which a run directory keeps."""
    return path_of_class(type(recipe))


def versions() -> dict[str, str]:
    """What made a run: versions of Python, kft and Keras, the backend, the dtype policy."""
    import kft

    return {
        "python": platform.python_version(),
        "kft": kft.__version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "dtype_policy": keras.config.dtype_policy().name,
    }


@contextmanager
def damage_named(directory: Path, path: str) -> Iterator[None]:
    """Turn whatever is raised over a run's values into an error that names their file.

    Args:
        directory: The run directory.
        path: The path of the recipe's class.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"`{directory / RECIPE}`: {error}") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"[:300]
        raise InputError(
            f"`{directory / RECIPE}` does not describe a {path} ({said}): restore it from a copy."
        ) from error


def read_json(path: Path) -> Any:
    """Read a JSON file of a run directory, in which it has to lie itself.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    try:
        return reading.read_json(path, within=path.parent)
    except FileNotFoundError as error:
        raise no_run(path.parent, path.name) from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file and have it on the disk before returning."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _chosen_class(path, directory, given):
    """The class to build: the one that was passed if it is the run's, or one of kft's own."""
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
