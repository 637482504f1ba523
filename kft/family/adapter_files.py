"""Files with what was trained on a backbone, without the backbone: adapters, head, norms and biases."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kft.arguments import path_of
from kft.errors import InputError
from kft.family.description import errors_naming_file, is_names, versions
from kft.family.hooks import Family
from kft.family.known import title_of
from kft.family.weights import load_weights, save_weights
from kft.model.adapters import parts_of
from kft.model.blocks import find_anatomy
from kft.model.graph import settle
from kft.model.lora import LoRA
from kft.runs import atomic, json_files
from kft.runs.places import is_empty
from kft.tasks.saved import described

ADAPTERS = "adapters.json"
WEIGHTS = "adapters.safetensors"
_FORMAT = 1
_MISSING = object()
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "adapters": lambda value: isinstance(value, dict),
    "backbone": lambda value: isinstance(value, str),
    "backbone_sha256": lambda value: isinstance(value, str),
    "task": lambda value: isinstance(value, str | dict),
    "classes": is_names,
    "state": lambda value: isinstance(value, dict),
    "thresholds": lambda value: isinstance(value, dict),
    "weights_sha256": lambda value: isinstance(value, str),
}


def save_adapters(recipe: Family, directory: str | os.PathLike) -> Path:
    """Write the adapters of a recipe, as `kft.Recipe.save_adapters` documents it."""
    directory = path_of("directory", directory)
    if not isinstance(recipe.adapters, LoRA):
        raise InputError(
            "this recipe has no adapters to save: make it with adapters=kft.LoRA(), or write all of "
            "it with `recipe.save`."
        )
    _refuse_trained_backbone(recipe)
    if os.path.exists(directory) and not (os.path.isdir(directory) and is_empty(directory)):
        raise InputError(f"`{directory}` exists already: pass a new directory to save to.")
    own, backbone = _split_weights(recipe.model)
    with atomic.being_written(directory) as hidden:
        content = {
            "format": _FORMAT,
            "adapters": recipe.adapters.to_dict(),
            "backbone": title_of(recipe),
            "backbone_sha256": _digest(backbone),
            "task": described(recipe.task),
            "classes": recipe.classes,
            "state": recipe.state(),
            "thresholds": recipe.thresholds,
            "weights_sha256": save_weights(own, hidden / WEIGHTS),
            "versions": versions(),
        }
        json_files.write_json(hidden / ADAPTERS, content)
    return directory


def load_adapters(recipe: Family, directory: str | os.PathLike) -> None:
    """Load saved adapters into a recipe, as `kft.Recipe.load_adapters` documents it."""
    directory = path_of("directory", directory)
    content = _read(directory)
    own, backbone = _split_weights(recipe.model)
    _check(recipe, content, directory, _digest(backbone))
    load_weights(own, directory / WEIGHTS, content["weights_sha256"], ADAPTERS)
    settle(recipe.model)
    with errors_naming_file(directory / ADAPTERS, type(recipe).__name__):
        recipe.classes = None  # its own classes belong to what it learned before
        if content["classes"] is not None:
            recipe.name_classes(content["classes"], "`classes`")
        recipe.restore(content["state"])
        recipe.use_thresholds(content["thresholds"])
    recipe.is_fitted, recipe.loaded_from, recipe.distances = True, directory, None


def _split_weights(model: keras.Model) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """Return the weights that are saved with adapters, and those of the backbone."""
    parts = parts_of(model)
    head = {id(weight) for weight in find_anatomy(model).head.weights}
    own = [weight for weight in model.weights if id(weight) in head or parts.get(id(weight))]
    known = {id(weight) for weight in own}
    return own, [weight for weight in model.weights if id(weight) not in known]


def _digest(weights: list[keras.Variable]) -> str:
    """Return the SHA-256 of weights, which is the same on all backends."""
    found = hashlib.sha256()
    for weight in weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(value.view(np.uint8).reshape(-1).data)
    return found.hexdigest()


def _refuse_trained_backbone(recipe: Family) -> None:
    stages = (recipe.origin.get("plan") or {}).get("stages") or []
    for number, stage in enumerate(stages, start=1):
        if stage["unfreeze"] != 0 and not stage.get("only"):
            raise InputError(
                f"Stage {number} of the fit trained more of the backbone than adapters, norms and "
                "biases, which are what is saved: write all of the recipe with `recipe.save`, or train "
                'with kft.Stage(..., only="adapters").'
            )


def _read(directory: Path) -> dict[str, Any]:
    path = directory / ADAPTERS
    content = json_files.read_json(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InputError(f"`{path}` describes no adapters that this version of kft reads.")
    wrong = [name for name, fits in _FIELDS.items() if not fits(content.get(name, _MISSING))]
    if wrong:
        raise InputError(
            f"`{path}` is damaged (see {', '.join(wrong)} in it): restore it from a copy."
        )
    return content


def _check(recipe: Family, content: Mapping[str, Any], directory: Path, digest: str) -> None:
    """Refuse adapters of another model; compare what is simplest to explain first."""
    with errors_naming_file(directory / ADAPTERS, "LoRA"):
        saved = LoRA.of(content["adapters"])
    if saved != recipe.adapters:
        raise InputError(
            f"`{directory}` has adapters of {saved!r}, but the recipe has `adapters={recipe.adapters!r}`: "
            "make the recipe with those of the file."
        )
    if content["task"] != described(recipe.task):
        raise InputError(
            f"`{directory}` has adapters for the task {content['task']!r:.200}, but the recipe's is "
            f"{described(recipe.task)!r:.200}: make the recipe with that task."
        )
    if content["backbone_sha256"] != digest:
        raise InputError(
            f"`{directory}` has adapters for the backbone of {content['backbone']:.200} (weights "
            f"{content['backbone_sha256']:.12}), but this recipe has that of {title_of(recipe)} (weights "
            f"{digest:.12}): load them on the backbone that they were trained on."
        )
