"""A trained recipe as a directory, and back: plain JSON and safetensors, nothing that runs code."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kft.errors import InputError

if TYPE_CHECKING:
    from kft.recipe import Recipe

FORMAT = 1
RECIPE = "recipe.json"
WEIGHTS = "weights.safetensors"
_FIELDS = ("class", "arguments", "classes", "state", "weights_sha256")


def save(recipe: Recipe, directory: str | os.PathLike, *, plan: Mapping | None = None) -> Path:
    """Write a trained recipe to a directory that `load` reads on any backend.

    The directory appears whole or not at all.

    Args:
        recipe: The recipe.
        directory: A directory that does not exist yet or is empty.
        plan: What was trained, ready for JSON.

    Returns:
        The directory.

    Raises:
        InputError: If the directory holds something.
    """
    directory = Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"`{directory}` exists already: pass a new directory to save to.")
    with being_written(directory) as hidden:
        write(recipe, hidden, plan=plan)
    return directory


def load(directory: str | os.PathLike) -> Recipe:
    """Load a trained recipe, whichever backend trained it.

    Args:
        directory: A run directory, written by `fit(run_dir=...)` or `Recipe.save`.

    Returns:
        The recipe, ready to `predict`, `evaluate`, `export`, or to be fitted further.

    Raises:
        InputError: If the directory is no run directory, its recipe's class cannot be imported, or
            its weights are damaged.

    Example:

    ```python
    recipe = kft.load("runs/flowers")
    print(recipe.predict(["a.jpg"]))
    ```
    """
    from kft.recipe import Recipe

    directory = Path(directory)
    content = read_json(directory / RECIPE)
    if not isinstance(content, dict):
        raise InputError(f"`{directory / RECIPE}` holds no JSON object: restore it from a copy.")
    if content.get("format") != FORMAT:
        raise InputError(
            f"`{directory / RECIPE}` has format {content.get('format')!r}, but this version of "
            f"kft reads format {FORMAT}: load it with kft {content.get('versions', {}).get('kft')}."
        )
    missing = [name for name in _FIELDS if name not in content]
    if missing or not isinstance(content["class"], str) or ":" not in content["class"]:
        raise InputError(
            f"`{directory / RECIPE}` is damaged (it lacks {', '.join(missing) or 'a class'}): restore "
            "it from a copy."
        )
    recipe_class = _find_class(content["class"], directory)
    if not (isinstance(recipe_class, type) and issubclass(recipe_class, Recipe)):
        raise InputError(f"`{content['class']}` in {directory / RECIPE} is no kft.Recipe.")
    try:
        recipe = recipe_class.rebuild(content["arguments"], directory)
        restore(recipe, directory)
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"`{directory / RECIPE}` does not describe a {content['class']} ({error}): restore it from "
            "a copy."
        ) from error
    return recipe


def restore(recipe: Recipe, directory: Path) -> None:
    """Give a recipe the classes, the state and the weights that lie in a run directory.

    Args:
        recipe: A recipe with the arguments of the saved one.
        directory: The run directory.
    """
    content = read_json(directory / RECIPE)
    if content["classes"] is not None:
        recipe.classes = tuple(content["classes"])
    recipe.restore(content["state"])
    recipe.restore_files(directory)
    _load_weights(recipe.model, directory / WEIGHTS, content["weights_sha256"])
    recipe.is_fitted = True


def write(recipe: Recipe, directory: Path, *, plan: Mapping | None = None) -> None:
    """Write the files of a recipe into an existing directory.

    Args:
        recipe: The recipe.
        directory: Where to; `being_written` makes it appear at once.
        plan: What was trained, ready for JSON.
    """
    from safetensors.numpy import save_file

    weights = directory / WEIGHTS
    save_file(_named_weights(recipe.model), weights)
    recipe.save_files(directory)
    content = {
        "format": FORMAT,
        "class": class_path(recipe),
        "arguments": recipe.arguments(),
        "classes": None if recipe.classes is None else list(recipe.classes),
        "task": recipe.task,
        "modality": recipe.modality,
        "state": recipe.state(),
        "weights_sha256": digest(weights),
        "plan": plan,
        "versions": versions(),
    }
    write_json(directory / RECIPE, content)


@contextmanager
def being_written(directory: Path) -> Iterator[Path]:
    """Give a hidden directory beside `directory`, whose files appear in it when the block ends.

    A block that raises leaves nothing behind. Where the directory exists, the files are moved into
    it one by one, `recipe.json` last, since that is what `load` looks for.

    Args:
        directory: What the hidden directory becomes.
    """
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        hidden.chmod(0o755)  # mkdtemp's own mode shuts everybody else out
        yield hidden
        for path in hidden.rglob("*"):
            if path.is_file():
                sync(path)
        if not directory.exists():
            hidden.rename(directory)
            return
        for path in sorted(hidden.iterdir(), key=lambda path: path.name == RECIPE):
            target = directory / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def class_path(recipe: Recipe) -> str:
    """`module:Class`, by which `load` and the command line find a recipe's class."""
    return f"{type(recipe).__module__}:{type(recipe).__qualname__}"


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


def read_json(path: Path) -> Any:
    """Read a JSON file of a run directory.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"`{path.parent}` is no finished run: it has no {path.name}. Pass the directory that "
            "`fit(run_dir=...)` or `save` wrote."
        ) from error
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"`{path}` cannot be read ({error}): restore it from a copy.") from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file and have it on the disk before returning."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Have a file on the disk before going on."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _find_class(path, directory):
    module, _, name = path.partition(":")
    if _lies_in(module, directory):
        raise InputError(
            f"the class `{path}` of {directory} would be imported from that directory itself, and a "
            "run is data, not code: move the module to where your own code lies."
        )
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        where = (
            "it was defined in a script or notebook: move it to a module that can be imported"
            if module == "__main__"
            else f"put the directory of `{module}` on PYTHONPATH"
        )
        raise InputError(
            f"the class `{path}` of {directory} cannot be imported ({error}): {where}."
        ) from error
    return found


def _lies_in(module, directory):
    """Whether importing a module would run code that came with the directory."""
    try:
        spec = find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return False
    places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    own = directory.resolve()
    return any(place and Path(place).resolve().is_relative_to(own) for place in places)


def _named_weights(model):
    """Weights by position and name: layer names hang on what else a process has built."""
    return {
        f"{index:05d}:{weight.name}": np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        for index, weight in enumerate(model.weights)
    }


def _load_weights(model, path, sha256):
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise InputError(f"`{path.parent}` has no {path.name}: restore the file from a copy.")
    if digest(path) != sha256:
        raise InputError(
            f"`{path}` is not what was saved (SHA-256 differs): restore it from a copy."
        )
    try:
        saved = load_file(path)
    except SafetensorError as error:
        raise InputError(f"`{path}` cannot be read ({error}): restore it from a copy.") from error
    expected = {
        f"{index:05d}:{weight.name}": tuple(weight.shape)
        for index, weight in enumerate(model.weights)
    }
    found = {key: value.shape for key, value in saved.items()}
    if found != expected:
        key = min(key for key in found.keys() | expected if found.get(key) != expected.get(key))
        raise InputError(
            f"`{path}` does not fit the model that {path.parent / RECIPE} describes: weight {key} "
            f"has the shape {found.get(key)} in the file, {expected.get(key)} in the model."
        )
    for weight, key in zip(model.weights, sorted(saved), strict=True):
        weight.assign(saved[key])


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
