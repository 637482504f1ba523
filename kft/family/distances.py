"""The distances between a recipe's answers and the truth on validation data, as a file of its run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.runs import reading

DISTANCES = "distances.json"


def write(found: Any, directory: Path) -> None:
    """Write the distances of a recipe, if they are known.

    Args:
        found: `kft.family.hooks.Family.distances`.
        directory: The directory to write to.
    """
    if found is not None:
        (directory / DISTANCES).write_text(json.dumps(found) + "\n", encoding="utf-8")


def read(directory: Path) -> Any:
    """Return the distances in a run directory, None if it has none.

    Raises:
        InputError: If the file is damaged.
    """
    path = directory / DISTANCES
    if not os.path.exists(path):
        return None
    found = reading.read_json(path, within=directory)
    parts = list(found.values()) if isinstance(found, dict) else [found]
    if not parts or not all(map(_is_sound, parts)):
        raise InputError(f"`{path}` is damaged: restore it from a copy.")
    return found


def _is_sound(part: Any) -> bool:
    try:
        numbers = np.asarray(part, "float64")
    except (TypeError, ValueError):
        return False
    return bool(numbers.size and 1 <= numbers.ndim <= 2 and np.isfinite(numbers).all())
