"""`classes.txt`: the names of the classes, one per line."""

from __future__ import annotations

import os
from pathlib import Path

from kft.data.encodings import text_of
from kft.data.files import shown
from kft.errors import InputError
from kft.regular_files import open_regular, why

__all__ = ["CLASSES", "class_lines"]

CLASSES = "classes.txt"
_MOST_BYTES = 2**20


def class_lines(root: Path, name: str = CLASSES) -> list[str] | None:
    """Return the lines of a file in a folder that are not blank; None if there is no such file.

    Args:
        root: The folder.
        name: The name of the file.

    Raises:
        InputError: If the file cannot be read, is not UTF-8 or too large, or leads out of the folder.
    """
    path = root / name
    if not os.path.lexists(path):
        return None
    try:
        with open_regular(path, _MOST_BYTES, within=root) as file:
            text, reason = text_of(file.read(), "utf-8")
    except OSError as error:
        text, reason = "", why(error)
    if reason:
        raise InputError(f"{shown(path)}: {reason}")
    return [line for line in text.splitlines() if line.strip()]
