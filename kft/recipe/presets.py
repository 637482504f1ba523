"""KerasHub's preset folders, checked before KerasHub builds what their files describe.

KerasHub (0.32) builds any class of Keras or its own that a file describes, and imports the module
that the file names to find it. Only classes that models of presets consist of pass these checks.
"""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

import keras
import keras_hub
import numpy as np

from kft.errors import InputError
from kft.model.outlines import without_values
from kft.runs.reading import check_tree, read_object

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
IMAGE_CONVERTER = "image_converter.json"
PREPROCESSOR = "preprocessor.json"
_INDICES = ("model.safetensors.index.json", "model.weights.json")  # map weights to files
_KEPT = ((CONFIG,), (TOKENIZER,), (IMAGE_CONVERTER,))
_ASSETS = ("assets", "tokenizer")
_VOCABULARY = ("vocab.txt",)  # in a Hugging Face folder
_LARGEST_ASSETS = 64 * 2**20  # bytes of a tokenizer; Gemma's has 38 MB
_VALUES_PER_BYTE = 2  # weights of 4 bits
_MOST_LAYERS = 1000
_LONGEST = 2**16  # tokens


def check_preset(folder: Path, backbone_class: type) -> dict[str, Any]:
    """Check the objects that the files of a preset folder or a Hugging Face folder describe.

    Args:
        folder: The folder.
        backbone_class: The class that `config.json` may describe.

    Returns:
        The content of `config.json`.

    Raises:
        FileNotFoundError: If there is no `config.json`.
        InputError: If a file describes something else, or cannot be read.
    """
    _check_files(folder)
    config = read_object(folder / CONFIG)
    if "registered_name" in config or "model_type" not in config:
        _check_described(folder / CONFIG, config, backbone_class)
        for name, kind in (
            (TOKENIZER, keras_hub.models.Tokenizer),
            (PREPROCESSOR, keras_hub.models.Preprocessor),
            (IMAGE_CONVERTER, keras_hub.layers.ImageConverter),
        ):
            if os.path.exists(folder / name):
                _check_described(folder / name, read_object(folder / name), kind)
    layers = [_settings(config).get(name) for name in ("num_layers", "num_hidden_layers")]
    if any(isinstance(count, int) and count > _MOST_LAYERS for count in layers):
        raise InputError(f"`{folder / CONFIG}` describes more than {_MOST_LAYERS:,} layers.")
    for name in _INDICES:
        if os.path.exists(folder / name):
            _check_index(folder / name)
    return config


def write_kept_preset(folder: Path, encoder: keras.Model, part: Any) -> None:
    """Write a preset folder without weights, for a run directory.

    Args:
        folder: A directory that does not exist yet.
        encoder: The KerasHub backbone, whose configuration is written.
        part: The KerasHub tokenizer or image converter.
    """
    folder.mkdir()
    part.save_to_preset(str(folder))
    config = keras.saving.serialize_keras_object(encoder)
    config.pop("build_config", None)
    config.pop("compile_config", None)
    config["config"] = {**_left_out(encoder, config["config"]), **config["config"]}
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")


def check_kept_preset(folder: Path) -> None:
    """Check that the preset in a run directory consists only of files that kft writes.

    Args:
        folder: The folder.

    Raises:
        InputError: If it has other files, links to somewhere else, or is too large.
    """
    if not os.path.isdir(folder) or folder.is_symlink():
        raise InputError(f"`{folder}` is missing: restore it from a copy.")
    check_tree(folder)
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if os.path.isfile(path) and parts[:2] != _ASSETS and parts not in _KEPT:
            raise InputError(f"`{path}` is not a file of a run: remove it.")
    _check_files(folder)
    if not os.path.exists(folder / TOKENIZER):
        return
    length = _settings(read_object(folder / TOKENIZER)).get("sequence_length")
    if length is not None and not (isinstance(length, int) and 0 < length <= _LONGEST):
        raise InputError(f"`{folder / TOKENIZER}` has `sequence_length={length!r}`.")


def kept_converter(folder: Path) -> Any:
    """Return the image converter of a preset folder, without building what its file describes.

    Args:
        folder: A preset folder; None is returned for other folders.

    Raises:
        InputError: If the file cannot be read, or does not describe an image converter.
    """
    path = folder / IMAGE_CONVERTER
    if not os.path.isfile(path):
        return None
    settings = {
        name: value
        for name, value in _settings(read_object(path)).items()
        if name not in ("name", "trainable", "dtype", "data_format")
    }
    try:
        converter = keras_hub.layers.ImageConverter(**settings)
        for values in (converter.scale, converter.offset):
            np.broadcast_to(np.asarray(0.0 if values is None else values, "float32"), (3,))
    except (TypeError, ValueError) as error:
        message = str(error).splitlines()[0][:200]
        raise InputError(f"`{path}` describes no image converter: {message}") from error
    return converter


def check_size(folder: Path, build: Callable[[], keras.Model]) -> None:
    """Check that the model described in a preset folder is not larger than its weights.

    Args:
        folder: The folder.
        build: Builds the model. It is called once, without values for its weights.

    Raises:
        InputError: If the weights in the folder are too small for it.
    """
    found = sum(p.stat().st_size for p in folder.iterdir() if p.suffix in (".h5", ".safetensors"))

    def compare() -> None:
        needed = sum(math.prod(weight.shape) for weight in build().weights)
        if needed > _VALUES_PER_BYTE * found:
            raise InputError(
                f"{CONFIG} describes a model of {needed:,} weights, but the files next to it have "
                f"{found:,} bytes"
            )

    without_values(compare)


def _left_out(encoder: keras.Model, config: dict[str, Any]) -> dict[str, Any]:
    """Return constructor arguments that a backbone's config omits, such as LlamaBackbone's tied embeddings.

    https://github.com/keras-team/keras-hub/issues/3098
    """
    names = inspect.signature(type(encoder).__init__).parameters.keys() - config.keys()
    values = {name: getattr(encoder, name, None) for name in sorted(names)}
    return {name: one for name, one in values.items() if isinstance(one, bool | int | float | str)}


def _check_files(folder: Path) -> None:
    """Check that KerasHub finds only regular files, and no vocabulary that would fill the memory."""
    size = 0
    for path in folder.rglob("*"):
        if os.path.isfile(path):
            parts = path.relative_to(folder).parts
            size += path.stat().st_size if parts[:2] == _ASSETS or parts == _VOCABULARY else 0
        elif not os.path.isdir(path):
            raise InputError(f"{path.name} is neither a file nor a folder")
    if size > _LARGEST_ASSETS:
        raise InputError(f"the tokenizer in `{folder}` has {size:,} bytes")


def _check_described(path: Path, description: dict[str, Any], kind: type) -> None:
    if not _is_registered(description, kind) or "compile_config" in description:
        raise InputError(
            f"{path.name} describes `{_name(description)}`, but a {kind.__name__} is expected"
        )
    for inner in _descriptions([*description.values()]):
        if not (_is_setting(inner) or _is_registered(inner, keras.Layer)):
            raise InputError(
                f"{path.name} describes a `{_name(inner)}` inside it, which is not built from a file"
            )


def _descriptions(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every description in a tree from which Keras would create an object."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value or "compile_config" in value:
                yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _is_registered(description: dict[str, Any], kind: type) -> bool:
    """Return whether it describes a class that is registered with Keras in this process."""
    name = description.get("registered_name")
    if not isinstance(name, str):
        return False
    found = keras.saving.get_registered_object(name)
    if not (isinstance(found, type) and issubclass(found, kind)):
        return False
    return kind is not keras.Layer or name.startswith(("keras_hub>", "keras_nlp>"))


def _is_setting(description: dict[str, Any]) -> bool:
    """Return whether it describes a dtype policy, an initializer or an activation of Keras."""
    module, name = description.get("module"), str(description.get("class_name"))
    if description.get("registered_name") not in (None, name, description.get("config")):
        return False
    if name == "function":
        return module in ("builtins", "keras.activations")
    if name.endswith(("DTypePolicy", "DTypePolicyMap")):
        return module in ("keras", "keras.dtype_policies")
    return module == "keras.initializers"


def _check_index(path: Path) -> None:
    """Check that an index names only files next to it."""
    files = read_object(path).get("weight_map")
    if not isinstance(files, dict):
        raise InputError(f"{path.name} has no `weight_map`")
    for found in files.values():
        for name in found if isinstance(found, list) else [found]:
            if not isinstance(name, str) or PurePath(name).name != name or name == "..":
                raise InputError(f"{path.name} names {name!r}, which is not a file next to it")


def _settings(description: dict[str, Any]) -> dict[str, Any]:
    settings = description.get("config", description)
    return settings if isinstance(settings, dict) else {}


def _name(description: dict[str, Any]) -> str:
    return f"{description.get('module')}.{description.get('class_name')}"[:100]
