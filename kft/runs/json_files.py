"""The JSON files of a run directory: bounded reading and durable writing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from kft.runs import reading
from kft.runs.places import no_run


def read_json(path: Path) -> Any:
    """Read a JSON file of a run directory, which must not be a link to another place.

    Raises:
        InputError: There is no such file, or it is damaged.
    """
    try:
        return reading.read_json(path, within=path.parent)
    except FileNotFoundError as error:
        raise no_run(path.parent, path.name) from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file and sync it to the disk."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
