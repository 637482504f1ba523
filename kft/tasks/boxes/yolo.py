"""YOLO: a text file for each image, a line for each box: class number, middle, width and height."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kft.arguments import shown
from kft.data.encodings import text_of
from kft.errors import InputError
from kft.regular_files import read_regular, why
from kft.tasks.boxes.found import FoundBoxes

__all__ = ["read_yolo"]

_MOST_BYTES = 2**24


def read_yolo(path: Path) -> FoundBoxes:
    """Return the boxes of a text file; a file without lines is an image without boxes.

    Raises:
        InputError: If it is no such file.
    """
    try:
        text, reason = text_of(read_regular(path, _MOST_BYTES), "utf-8")
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
            raise InputError(f"{where}: the class {shown(parts[0])} is no whole number from 0")
        try:
            x, y, width, height = map(float, parts[1:])
        except ValueError:
            raise InputError(
                f"{where}: {shown(' '.join(parts[1:]))} are not four numbers"
            ) from None
        rows.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        labels.append(int(parts[0][:9]))
    return FoundBoxes(np.array(rows, np.float64).reshape(-1, 4), tuple(labels), are_fractions=True)
