"""KerasHub's preset folders, looked through before KerasHub builds what their files describe.

KerasHub (0.32) builds whatever class of Keras or of its own a file describes, and to find one it
imports the module that the file names. Here only what a text model is made of gets through.
"""

from __future__ import annotations

import inspect
import json
import math
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
_INDICES = ("model.safetensors.index.json", "model.weights.json")  # which file holds which weights
_KEPT = ((CONFIG,), (TOKENIZER,), (IMAGE_CONVERTER,))
_ASSETS = ("assets", "tokenizer")
_VOCABULARY = ("vocab.txt",)  # of a Hugging Face folder
_LARGEST_ASSETS = 64 * 2**20  # of a tokenizer; Gemma's are 38 MB
_VALUES_PER_BYTE = 2  # weights of 4 bits
_MOST_LAYERS = 1000
_LONGEST = 2**16  # tokens


def check_preset(folder: Path, backbone_class: type) -> dict[str, Any]:
    """Check what the files of a preset folder or a Hugging Face folder would have built.

    Args:
        folder: The folder.
        backbone_class: What `config.json` may describe.

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
            if (folder / name).exists():
                _check_described(folder / name, read_object(folder / name), kind)
    layers = [_settings(config).get(name) for name in ("num_layers", "num_hidden_layers")]
    if any(isinstance(count, int) and count > _MOST_LAYERS for count in layers):
        raise InputError(f"`{folder / CONFIG}` describes more than {_MOST_LAYERS:,} layers.")
    for name in _INDICES:
        if (folder / name).exists():
            _check_index(folder / name)
    return config


def write_kept_preset(folder: Path, encoder: keras.Model, part: Any) -> None:
    """Write a preset folder without weights, for a run directory.

    Args:
        folder: A directory that does not exist yet.
        encoder: The KerasHub backbone, of which the configuration is written.
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
    """Check the preset that a run directory holds: the files that kft writes, and no other.

    Args:
        folder: The folder.

    Raises:
        InputError: If it holds something else, leads out of itself, or is too large.
    """
    if not folder.is_dir() or folder.is_symlink():
        raise InputError(f"`{folder}` is missing: restore it from a copy.")
    check_tree(folder)
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and parts[:2] != _ASSETS and parts not in _KEPT:
            raise InputError(f"`{path}` is not a file of a run: remove it.")
    _check_files(folder)
    if not (folder / TOKENIZER).exists():
        return
    length = _settings(read_object(folder / TOKENIZER)).get("sequence_length")
    if length is not None and not (isinstance(length, int) and 0 < length <= _LONGEST):
        raise InputError(f"`{folder / TOKENIZER}` has `sequence_length={length!r}`.")


def kept_converter(folder: Path) -> Any:
    """Return what a preset folder says of pixels, without building what its file describes.

    Args:
        folder: A preset folder; None is returned for any other folder.

    Raises:
        InputError: If the file cannot be read, or says what is no image converter.
    """
    path = folder / IMAGE_CONVERTER
    if not path.is_file():
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
        said = str(error).splitlines()[0][:200]
        raise InputError(f"`{path}` describes no image converter: {said}") from error
    return converter


def check_size(folder: Path, build: Callable[[], keras.Model]) -> None:
    """Check that the model which a preset folder describes is as large as its weights.

    Args:
        folder: The folder.
        build: Builds the model. It is called once, without values for its weights.

    Raises:
        InputError: If the weights in the folder could not fill it.
    """
    found = sum(p.stat().st_size for p in folder.iterdir() if p.suffix in (".h5", ".safetensors"))

    def compare() -> None:
        needed = sum(math.prod(weight.shape) for weight in build().weights)
        if needed > _VALUES_PER_BYTE * found:
            raise InputError(
                f"{CONFIG} describes a model of {needed:,} weights, but the files beside it have "
                f"{found:,} bytes"
            )

    without_values(compare)


def _left_out(encoder: keras.Model, config: dict[str, Any]) -> dict[str, Any]:
    """What a backbone was built with and does not say, such as LlamaBackbone's tied embeddings.

    https://github.com/keras-team/keras-hub/issues/3098
    """
    names = inspect.signature(type(encoder).__init__).parameters.keys() - config.keys()
    values = {name: getattr(encoder, name, None) for name in sorted(names)}
    return {name: one for name, one in values.items() if isinstance(one, bool | int | float | str)}


def _check_files(folder: Path) -> None:
    """KerasHub opens what is there: nothing to wait for, and no vocabulary that fills the memory."""
    size = 0
    for path in folder.rglob("*"):
        if path.is_file():
            parts = path.relative_to(folder).parts
            size += path.stat().st_size if parts[:2] == _ASSETS or parts == _VOCABULARY else 0
        elif not path.is_dir():
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
    """Everything in a tree that Keras would make an object of."""
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
    """Whether it describes a class that somebody in this process has registered with Keras."""
    name = description.get("registered_name")
    if not isinstance(name, str):
        return False
    found = keras.saving.get_registered_object(name)
    if not (isinstance(found, type) and issubclass(found, kind)):
        return False
    return kind is not keras.Layer or name.startswith(("keras_hub>", "keras_nlp>"))


def _is_setting(description: dict[str, Any]) -> bool:
    """Whether it describes a dtype policy, an initializer or an activation of Keras."""
    module, name = description.get("module"), str(description.get("class_name"))
    if description.get("registered_name") not in (None, name, description.get("config")):
        return False
    if name == "function":
        return module in ("builtins", "keras.activations")
    if name.endswith(("DTypePolicy", "DTypePolicyMap")):
        return module in ("keras", "keras.dtype_policies")
    return module == "keras.initializers"


def _check_index(path: Path) -> None:
    """An index names files; they have to lie beside it."""
    files = read_object(path).get("weight_map")
    if not isinstance(files, dict):
        raise InputError(f"{path.name} has no `weight_map`")
    for found in files.values():
        for name in found if isinstance(found, list) else [found]:
            if not isinstance(name, str) or PurePath(name).name != name or name == "..":
                raise InputError(f"{path.name} names {name!r}, which is no file beside it")


def _settings(description: dict[str, Any]) -> dict[str, Any]:
    settings = description.get("config", description)
    return settings if isinstance(settings, dict) else {}


def _name(description: dict[str, Any]) -> str:
    return f"{description.get('module')}.{description.get('class_name')}"[:100]
