"""Hugging Face folders: required files, and defaults of settings that they may omit."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kft.errors import InputError
from kft.regular_files import problem, read_regular, why

CONFIG, TOKENIZER_CONFIG, WEIGHTS = "config.json", "tokenizer_config.json", "model.safetensors"
# The encoders of texts and the backbones of images that KerasHub (0.32) converts.
ENCODERS = ("albert", "bert", "distilbert", "roberta", "xlm-roberta")
IMAGE_BACKBONES = ("deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "swin", "vit")
_WORD_PIECES = ("bert", "distilbert")
_LARGEST_JSON = 32 * 2**20

# By `model_type` and file, Hugging Face's default of each setting that the file may omit.
Defaults = Mapping[str, Mapping[str, Mapping[str, Any]]]
Types = Sequence[str] | None


@dataclasses.dataclass(frozen=True)
class Folders:
    """The files in the folders of one kind of model.

    Attributes:
        what: The kind of model, for messages.
        converted: The `model_type`s of Hugging Face that KerasHub converts.
        recipe: The recipe that accepts all of them.
        settings: The file next to `config.json` in a Hugging Face folder.
        part: The file next to `config.json` in a preset folder.
        to_bring: The files of a preset folder and of a Hugging Face folder, for messages.
    """

    what: str
    converted: Sequence[str]
    recipe: str
    settings: str
    part: str
    to_bring: str


TEXTS = Folders(
    "text encoders",
    ENCODERS,
    "recipes.EncoderRecipe",
    TOKENIZER_CONFIG,
    "tokenizer.json",
    "the preset (config.json, tokenizer.json, model.weights.h5, assets/tokenizer/) or the Hugging Face "
    "folder (config.json, vocab.txt, tokenizer_config.json, model.safetensors)",
)
IMAGES = Folders(
    "image backbones",
    IMAGE_BACKBONES,
    "recipes.ImageBackboneRecipe",
    "preprocessor_config.json",
    "image_converter.json",
    "the preset (config.json, image_converter.json, model.weights.h5) or the Hugging Face folder "
    "(config.json, preprocessor_config.json, model.safetensors)",
)


def read_settings(path: Path, preset: str) -> dict[str, Any]:
    """Read a file of settings, such as `config.json`.

    Args:
        path: The file.
        preset: The folder as the user named it, for messages.

    Raises:
        InputError: If it is not a JSON object, too large, or cannot be read.
    """
    try:
        content = json.loads(read_regular(path, _LARGEST_JSON))
    except OSError as error:
        raise InputError(f"`preset={preset!r}`: {path.name}: {why(error)}.") from error
    except (ValueError, RecursionError) as error:
        detail = str(error) or type(error).__name__
        raise InputError(
            f"`preset={preset!r}`: {path.name} is not JSON ({detail}): bring the file again."
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"`preset={preset!r}`: {path.name} is not a JSON object: bring it again.")
    return content


def check_folder(
    folder: Path, preset: str, *, needs_weights: bool, types: Types, recipe: str, folders: Folders
) -> None:
    """Check that a preset folder or a Hugging Face folder can be loaded.

    Args:
        folder: The folder.
        preset: The folder as the user named it, for messages.
        needs_weights: Whether its weights are loaded too.
        types: The `model_type`s of Hugging Face that the recipe accepts; None for all.
        recipe: The recipe's name.
        folders: The files in folders of its kind of model.

    Raises:
        InputError: If a file is missing, damaged, or not a file, or describes another kind of model.
    """
    for path in folder.iterdir():
        reason = "" if os.path.isdir(path) else problem(path, sys.maxsize)
        if reason not in ("", "no such file"):
            raise InputError(f"`preset={preset!r}`: {path.name}: {reason}.")
    needed, hint = [CONFIG], ""
    if os.path.isfile(folder / CONFIG):
        config = read_settings(folder / CONFIG, preset)
        is_converted = "model_type" in config and "registered_name" not in config
        if is_converted:
            _check_type(config["model_type"], preset, types, recipe, folders)
        needed.append(folders.settings if is_converted else folders.part)
        weights = WEIGHTS if is_converted else "model.weights.h5"
        if needs_weights and not any(folder.glob("model*.json")):
            needed.append(weights)
            if os.path.isfile(folder / "pytorch_model.bin"):
                hint = (
                    " (pytorch_model.bin may run code when it is loaded, so it is not read: save the "
                    "model by save_pretrained(safe_serialization=True))"
                )
    missing = [name for name in needed if not os.path.isfile(folder / name)]
    if missing:
        raise InputError(
            f"`preset={preset!r}` lacks {', '.join(missing)}{hint}: bring the whole preset folder or "
            "Hugging Face folder."
        )


@contextlib.contextmanager
def completed(folder: Path, defaults: Defaults) -> Iterator[Path]:
    """Yield a folder with complete settings, since KerasHub has no defaults for them.

    Args:
        folder: A Hugging Face folder, or a preset folder, which is always complete.
        defaults: By `model_type` and file, Hugging Face's default of each setting that may be omitted.
    """
    changed = {}
    kind = read_settings(folder / CONFIG, str(folder)).get("model_type")
    for name, values in defaults.get(str(kind), {}).items():
        found = read_settings(folder / name, str(folder))
        if not values.keys() <= found.keys():
            changed[name] = {**values, **found}
    if not changed:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="kft-preset-") as place:
        for path in folder.iterdir():
            if path.name in changed:
                Path(place, path.name).write_text(json.dumps(changed[path.name]), encoding="utf-8")
            else:
                os.symlink(path.resolve(), Path(place, path.name))
        yield Path(place)


def accents(preset: str) -> dict[str, Any]:
    """Return how a WordPiece tokenizer treats accents, if a Hugging Face folder says it.

    By default Hugging Face strips them from lower-cased text; KerasHub's converters do not read this
    setting, so "café" would become an unknown word.

    Args:
        preset: The preset as the user named it.
    """
    folder = Path(preset)
    if not (os.path.isfile(folder / CONFIG) and os.path.isfile(folder / TOKENIZER_CONFIG)):
        return {}
    if read_settings(folder / CONFIG, preset).get("model_type") not in _WORD_PIECES:
        return {}
    config = read_settings(folder / TOKENIZER_CONFIG, preset)
    strip = config.get("strip_accents")
    return {"strip_accents": config.get("do_lower_case", True) if strip is None else strip}


def first_line(error: Exception) -> str:
    """Return the message of another library's error in one line."""
    if isinstance(error, KeyError):
        return f"its files lack the setting {error}"
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _check_type(kind: Any, preset: str, types: Types, recipe: str, folders: Folders) -> None:
    if types is None or kind in types:
        return
    if kind in folders.converted:
        way_out = f"use {folders.recipe}, which takes it"
    else:
        way_out = (
            "bring a KerasHub preset, by its name or as a folder; of the Hugging Face folders of "
            f"{folders.what} KerasHub converts {', '.join(folders.converted)}, and no other kind"
        )
    taken = " or ".join(map(repr, types)) or "no Hugging Face folders"
    raise InputError(
        f"`preset={preset!r}` holds a model of type {kind!r:.60}, but {recipe} takes {taken}: {way_out}."
    )
