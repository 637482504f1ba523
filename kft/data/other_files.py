"""Files that hold data in a form that is not read, and what to do with them."""

from __future__ import annotations

from pathlib import Path

from kft.data.files import shown
from kft.data.image_files import IMAGE_SUFFIXES

_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_JSON = (".json", ".jsonl", ".ndjson")
_WAYS = (
    dict.fromkeys(_SPREADSHEETS, "save it as .csv")
    | dict.fromkeys(_JSON, "convert it to .csv")
    | dict.fromkeys((".gz", ".bz2", ".xz", ".zst"), "unpack it first")
    | dict.fromkeys((".7z", ".rar"), "unpack it, or pack it as .zip")
)


def way_out(path: Path) -> str:
    """Return how a file can be made one that is read, for messages; empty if that is not known.

    Args:
        path: The file.
    """
    return _WAYS.get(path.suffix.lower(), "")


def labelled_way_out(path: Path) -> str:
    """Return the same for labelled data, which may also be passed as a table in memory.

    Args:
        path: The file.
    """
    suffix, name = path.suffix.lower(), shown(path.name)
    if suffix in IMAGE_SUFFIXES:
        return "pass the folder that has one sub-folder of images per class"
    way = way_out(path)
    if suffix in _SPREADSHEETS:
        way += f", or pass a table in memory, such as pandas.read_excel({name!r})"
    if suffix in _JSON:
        way += f", or pass a table in memory, such as pandas.read_json({name!r}, lines=True)"
    return way
