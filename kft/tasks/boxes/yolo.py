"""YOLO annotations: a text file for each image, with class number, centre, width and height per line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kft.arguments import shown
from kft.data.encodings import text_of
from kft.data.names import checked_names
from kft.errors import InputError
from kft.plain_yaml import read_yaml
from kft.regular_files import lies_in, read_regular, why
from kft.tasks.boxes.found import FoundBoxes, number_in_file

__all__ = ["DESCRIPTIONS", "read_yolo", "yolo_classes"]

DESCRIPTIONS = ("data.yaml", "dataset.yaml", "data.yml")
_MOST_BYTES = 2**24
_BLANK = b" \t\r\n\xef\xbb\xbf"  # white space, and the mark at the beginning of UTF-8


def yolo_classes(root: Path) -> tuple[str, ...] | None:
    """Return the class names in the YAML file that describes a dataset.

    Args:
        root: The folder of the dataset. Nothing but the `names` of its `data.yaml` is used: a list, or a
            dictionary with the numbers from 0 as keys.

    Returns:
        The names in the order of their numbers; None without such a file, or without names in it.

    Raises:
        InputError: If the file or its names cannot be used.
    """
    path = next((root / name for name in DESCRIPTIONS if os.path.lexists(root / name)), None)
    if path is None:
        return None
    if not lies_in(path, root):
        raise InputError(f"{path.name} is a link that leads out of the folder: put a copy there")
    found = read_yaml(path, "description", number_keys=True)
    names = found.get("names") if isinstance(found, dict) else None
    if names is None:
        return None
    if isinstance(names, dict):
        if list(names) != list(range(len(names))):
            raise InputError(
                f"the names of {path.name} have the numbers {shown(list(names))}: number them from 0, "
                "without gaps"
            )
        names = list(names.values())
    return checked_names(names, path.name)


def read_yolo(path: Path) -> FoundBoxes:
    """Return the boxes of a text file; an empty file is an image without boxes.

    Raises:
        InputError: If the file cannot be read or is not in this format.
    """
    try:
        content = read_regular(path, _MOST_BYTES)
        text, reason = text_of(content, "utf-8") if content.strip(_BLANK) else ("", "")
    except OSError as error:
        text, reason = "", why(error)
    if reason:
        raise InputError(f"{path.name}: {reason}")
    rows, labels = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number} of {path.name}"
        parts = line.split()
        if len(parts) != 5:
            raise InputError(
                f"{where} has {len(parts)} values, but a class number and the middle, width and height of "
                "a box are expected, such as 0 0.5 0.5 0.2 0.1"
            )
        if not (parts[0].isascii() and parts[0].isdigit()):
            raise InputError(f"{where}: the class {shown(parts[0])} is not a whole number from 0")
        try:
            x, y, width, height = map(number_in_file, parts[1:])
        except ValueError:
            raise InputError(
                f"{where}: {shown(' '.join(parts[1:]))} are not four numbers"
            ) from None
        rows.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        labels.append(int(parts[0][:9]))
    return FoundBoxes(np.array(rows, np.float64).reshape(-1, 4), tuple(labels), are_fractions=True)
