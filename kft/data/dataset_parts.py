"""Folders that contain the parts of a dataset, such as `train/`, `val/` and `test/`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kft.data.bad import BadExamples
from kft.data.files import shown
from kft.data.folder_walk import entries_of, is_ignored
from kft.data.modality import Modality, modality_named
from kft.data.names import clean
from kft.data.prepared import is_prepared

__all__ = ["class_folders", "part_names", "sources"]

_TRAINING = r"train(ing)?"
_VALIDATION = r"val(id(ation)?)?|dev(el)?"
_OTHERS = r"test(ing)?|eval(uation)?|hold[-_ ]?out"
_MOST_NAMED = 3  # unused folders to list in the message
_SUFFIX = r"([-_ ]?(set|data|split|images?|texts?|\d+))?"


def sources(
    train: Any, validation_data: Any, modality: str, *, split: bool
) -> tuple[Any, Any, str]:
    """Return the training and validation data, taken from a folder of parts if `train` is one.

    Args:
        train: The training data as passed.
        validation_data: The validation data, or a setting that splits them off `train`.
        modality: `"image"`, `"text"` or `"clip"`.
        split: Whether `validation_data` is such a setting.

    Returns:
        The training data, the validation data, and a sentence that describes the choice; the
        arguments and an empty sentence unless `train` is a folder with one training part among others.

    Raises:
        InputError: The folder cannot be read.
    """
    if not isinstance(train, str | os.PathLike) or not os.path.isdir(train):
        return train, validation_data, ""
    root = Path(train)
    if is_prepared(root):
        return train, validation_data, ""
    bad = BadExamples("folder", "skip")  # reading the part will report bad files
    kind = modality_named(modality)
    folders = {
        entry.name: _with_classes(Path(entry.path), kind)
        for entry in entries_of(root, root, bad)
        if entry.is_dir(follow_symlinks=False)
    }
    parts = part_names({name: names for name, (_, names) in folders.items()})
    training = [name for name in parts if _is(name, _TRAINING) and folders[name][1]]
    validating = [name for name in parts if _is(name, _VALIDATION)]
    if len(parts) < 2 or len(training) != 1 or len(validating) > 1:
        return train, validation_data, ""
    note = f"Trained on {shown(root / training[0])}"
    used = [*training]
    if split and validating:
        used += validating
        validation_data = str(folders[validating[0]][0])
        note += f", validated on {shown(root / validating[0])}"
    elif split:
        note += ", validated on a part of it"
    left = [shown(root / name) for name in sorted(set(folders) - set(used))]
    if len(left) > _MOST_NAMED:
        left[_MOST_NAMED - 1 :] = [f"{len(left) - _MOST_NAMED + 1} others"]
    if left:
        note += f"; {' and '.join(left)} {'is' if len(left) == 1 else 'are'} left out"
    return str(folders[training[0]][0]), validation_data, f"{note}."


def part_names(inside: Mapping[str, set[str]]) -> list[str]:
    """Return the folders that are named like parts of a dataset, if they can be parts.

    Args:
        inside: For each folder name the folders in it, as `class_folders` returns them.
    """
    every = f"{_TRAINING}|{_VALIDATION}|{_OTHERS}"
    parts = [name for name in sorted(inside) if _is(name, every)]
    return parts if len(parts) == len(inside) or all(inside[name] for name in parts) else []


def class_folders(folder: Path, modality: Modality) -> set[str]:
    """Return the names of the folders in a folder without inputs of its own, else an empty set.

    Nested folders such as `seg_train/seg_train/cat`, which unpacking an archive may create, count as one.

    Args:
        folder: The folder.
        modality: The kind of the inputs.
    """
    return _with_classes(folder, modality)[1]


def _with_classes(folder: Path, modality: Modality, deepest: int = 3) -> tuple[Path, set[str]]:
    """Return the folder that has class folders, which may be the only one inside, and their names."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not is_ignored(entry)]
    except OSError:
        return folder, set()  # reading the folder will report it as bad
    folders = [entry for entry in visible if entry.is_dir(follow_symlinks=False)]
    files = (entry.name for entry in visible if not entry.is_dir(follow_symlinks=False))
    if any(Path(name).suffix.lower() in modality.suffixes for name in files):
        return folder, set()
    if any(modality.holds(Path(entry.path)) for entry in folders):
        return folder, set()
    own = folder, {clean(entry.name) for entry in folders}
    if len(folders) != 1 or deepest == 0:
        return own
    below = _with_classes(Path(folders[0].path), modality, deepest - 1)
    return below if below[1] else own


def _is(name: str, words: str) -> bool:
    return re.fullmatch(f"({words}){_SUFFIX}", name, re.IGNORECASE) is not None
