"""A folder of a dataset's parts: `train/`, `val/` and `test/`, each with its own class folders."""

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
_MOST_NAMED = 3  # folders that are left out
_SUFFIX = r"([-_ ]?(set|data|split|images?|texts?|\d+))?"


def sources(
    train: Any, validation_data: Any, modality: str, *, split: bool
) -> tuple[Any, Any, str]:
    """Return what to train and to validate on, where a folder of parts stands for both.

    Args:
        train: The training data as a person passed them.
        validation_data: The validation data, or whatever stands for a part of `train`.
        modality: `"image"` or `"text"`.
        split: Whether `validation_data` stands for a part of `train`.

    Returns:
        The training data, the validation data, and a sentence that says what was chosen. Of anything but
        a folder with one training part among others, the arguments and an empty sentence.

    Raises:
        InputError: If the folder cannot be read.
    """
    if not isinstance(train, str | os.PathLike) or not os.path.isdir(train):
        return train, validation_data, ""
    root = Path(train)
    if is_prepared(root):
        return train, validation_data, ""
    bad = BadExamples("folder", "skip")  # whoever reads a part names what is bad
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
    said = f"Trained on {shown(root / training[0])}"
    used = [*training]
    if split and validating:
        used += validating
        validation_data = str(folders[validating[0]][0])
        said += f", validated on {shown(root / validating[0])}"
    elif split:
        said += ", of which a part validates"
    left = [shown(root / name) for name in sorted(set(folders) - set(used))]
    if len(left) > _MOST_NAMED:
        left[_MOST_NAMED - 1 :] = [f"{len(left) - _MOST_NAMED + 1} others"]
    if left:
        said += f"; {' and '.join(left)} {'is' if len(left) == 1 else 'are'} left out"
    return str(folders[training[0]][0]), validation_data, f"{said}."


def part_names(inside: Mapping[str, set[str]]) -> list[str]:
    """Return the folders that are called like parts of a dataset, and can be such.

    Args:
        inside: The names of folders, and for each the folders in it, as `class_folders` returns them.
    """
    every = f"{_TRAINING}|{_VALIDATION}|{_OTHERS}"
    parts = [name for name in sorted(inside) if _is(name, every)]
    return parts if len(parts) == len(inside) or all(inside[name] for name in parts) else []


def class_folders(folder: Path, modality: Modality) -> set[str]:
    """Return the names of the folders in a folder that has no files of its own, else nothing.

    An archive that was unpacked into a folder of its own name, `seg_train/seg_train/cat`, counts as one
    folder.

    Args:
        folder: The folder.
        modality: What the files and folders that count hold.
    """
    return _with_classes(folder, modality)[1]


def _with_classes(folder: Path, modality: Modality, deepest: int = 3) -> tuple[Path, set[str]]:
    """A folder, or the only one in it, that has class folders, and the names of these."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not is_ignored(entry)]
    except OSError:
        return folder, set()  # it is named as bad when it is read
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
