"""The description of a saved recipe in `recipe.json`: written, read and checked."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from kft.arguments import shown
from kft.backends import backend
from kft.errors import InputError
from kft.family.hooks import Family
from kft.import_path import path_of_class
from kft.runs import json_files
from kft.runs.places import RECIPE

FORMAT = 1
_MISSING = object()


def _is_class_path(value: Any) -> bool:
    return isinstance(value, str) and 0 < value.find(":") < len(value) - 1 and len(value) < 500


def is_names(value: Any) -> bool:
    """Return whether a value can be class names: a list, a dict of them for several tasks, or None."""
    if isinstance(value, dict):
        return all(map(is_names, value.values()))
    return value is None or (isinstance(value, list) and all(isinstance(v, str) for v in value))


# The fields of recipe.json that `load` needs, and a check of each one's value.
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "class": _is_class_path,
    "arguments": lambda value: isinstance(value, dict),
    "classes": is_names,
    "state": lambda value: isinstance(value, dict),
    "thresholds": lambda value: value is _MISSING or isinstance(value, dict),
    "weights_sha256": lambda value: isinstance(value, str),
    "plan": lambda value: value is None or (isinstance(value, dict) and bool(value)),
}


def read_description(directory: Path) -> dict[str, Any]:
    """Read the `recipe.json` of a run directory and check the types of its values.

    Raises:
        InputError: If the directory is not a finished run, is one of another version of kft, or is
            damaged.
    """
    path = directory / RECIPE
    content = json_files.read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"`{path}` holds no JSON object: restore it from a copy.")
    if type(content.get("format")) is not int or content["format"] != FORMAT:
        raise _of_another_version(path, content)
    wrong = [name for name, fits in _FIELDS.items() if not fits(content.get(name, _MISSING))]
    if wrong:
        raise InputError(
            f"`{path}` is damaged (see {', '.join(wrong)} in it): restore it from a copy."
        )
    return content


def check_described(recipe: Family, content: Mapping[str, Any]) -> None:
    """Check that the fields written for people match the recipe that the arguments build.

    Raises:
        InputError: If they do not.
    """
    for name, own in (("task", recipe.task.name), ("modality", recipe.modality)):
        stored = content.get(name, own)
        if stored != own:
            raise InputError(
                f"`{name}` is {shown(stored)}, but its arguments make a recipe with {own!r}: restore it "
                "from a copy."
            )


def _of_another_version(path: Path, content: dict[str, Any]) -> InputError:
    if "format" not in content:
        return InputError(
            f"`{path}` says no format, so kft did not write it: restore it from a copy."
        )
    versions = content.get("versions")
    by = versions.get("kft") if isinstance(versions, dict) else None
    way_out = f"load it with kft {by!s:.100}" if by else "load it with the version that wrote it"
    return InputError(
        f"`{path}` has format {content['format']!r:.100}, but this version of kft reads format "
        f"{FORMAT}: {way_out}."
    )


def write_description(
    recipe: Family, directory: Path, *, weights_sha256: str, plan: Mapping | None
) -> None:
    """Write the `recipe.json` of a recipe.

    Args:
        recipe: The recipe.
        directory: The directory to write to.
        weights_sha256: The digest of the written weights.
        plan: The plan of the training, ready for JSON.
    """
    content = {
        "format": FORMAT,
        "class": class_path(recipe),
        "arguments": recipe.arguments(),
        "classes": recipe.classes,
        "task": recipe.task.name,
        "modality": recipe.modality,
        "state": recipe.state(),
        "thresholds": recipe.thresholds,
        "weights_sha256": weights_sha256,
        "plan": plan,
        "versions": versions(),
    }
    json_files.write_json(directory / RECIPE, content)


def class_path(recipe: Family) -> str:
    """Return the `module:Class` of a recipe, which is stored in its run directory."""
    return path_of_class(type(recipe))


def versions() -> dict[str, str]:
    """Return the environment of a run: versions of Python, kft and Keras, the backend, the dtype policy."""
    import kft

    return {
        "python": platform.python_version(),
        "kft": kft.__version__,
        "keras": keras.__version__,
        "backend": backend().name,
        "dtype_policy": keras.config.dtype_policy().name,
    }


@contextmanager
def errors_naming_file(file: Path, path: str) -> Iterator[None]:
    """Convert any exception about a run's values to an error that names their file.

    Args:
        file: The file, such as a run's `recipe.json`.
        path: The path of the class that it describes.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"`{file}`: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        raise InputError(
            f"`{file}` does not describe a {path} ({reason}): restore it from a copy."
        ) from error
