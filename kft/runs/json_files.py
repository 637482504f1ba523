"""The JSON files of a run directory, read with a bound and on the disk once they are written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from kft.runs import reading
from kft.runs.places import no_run


def read_json(path: Path) -> Any:
    """Read a JSON file of a run directory, in which it has to lie itself.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    try:
        return reading.read_json(path, within=path.parent)
    except FileNotFoundError as error:
        raise no_run(path.parent, path.name) from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file and have it on the disk before returning."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
