"""Loading parts of a model from a KerasHub preset or a Hugging Face folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Protocol

from kft.errors import InputError
from kft.recipe.hugging_face import Defaults, Folders, check_folder, completed, first_line
from kft.recipe.presets import check_preset, check_size


class OfPreset(Protocol):
    """A recipe whose model comes from a preset; `kft.TextRecipe` documents the attributes."""

    backbone_class: ClassVar[Any]
    folders: ClassVar[Folders]
    hugging_face_types: ClassVar[tuple[str, ...] | None]
    hugging_face_defaults: ClassVar[Defaults]
    preset: str
    weights: str | None


def from_preset(recipe: OfPreset, kind: Any, **arguments: Any) -> Any:
    """Load a part of a recipe's model.

    Args:
        recipe: The recipe.
        kind: KerasHub's class of the part.
        arguments: Further arguments of `kind.from_preset`.

    Raises:
        InputError: If the preset is not such a model, is damaged, or could not be downloaded.
    """
    preset, name = recipe.preset, type(recipe).__name__
    folder = Path(preset)
    if os.path.isdir(folder):
        check_folder(
            folder,
            preset,
            needs_weights=recipe.weights is not None,
            types=recipe.hugging_face_types,
            recipe=name,
            folders=recipe.folders,
        )
    elif os.sep in preset and "://" not in preset:
        raise InputError(
            f"`preset={preset!r}` is not a folder: pass a preset folder, a Hugging Face "
            "folder, or the name of a KerasHub preset."
        )
    try:
        if os.path.isdir(folder):
            check_preset(folder, recipe.backbone_class)
            with completed(folder, recipe.hugging_face_defaults) as whole:
                if arguments.get("load_weights"):
                    outline = {**arguments, "load_weights": False}
                    check_size(whole, lambda: kind.from_preset(str(whole), **outline))
                return kind.from_preset(str(whole), **arguments)
        return kind.from_preset(preset, **arguments)
    except Exception as error:
        # The exception of a failed download depends on its source: Kaggle, Hugging Face, ...
        message = first_line(error)
        if os.path.isdir(folder):
            raise InputError(
                f"`preset={preset!r}` cannot be loaded by {name}: {message}"
            ) from error
        raise InputError(
            f"`preset={preset!r}` could not be fetched: is there a network, and is the name right? "
            f"({message}) On a machine with a network, download {recipe.folders.to_bring}, bring it here and "
            "pass its path."
        ) from error
