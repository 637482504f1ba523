"""The files of cached features: rows, their checksums, and a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from kft.cache.rows import RowReader, RowWriter, open_nonblocking

FORMAT = 2
MANIFEST = "features.json"
_LARGEST_MANIFEST = 2**20

# Identity of each large file when this process verified it: the trials of a search share files.
_checked: dict[Path, tuple] = {}


def write_manifest(folder: Path, key: str, writers: Sequence[RowWriter]) -> None:
    """Complete a folder of features.

    Args:
        folder: The folder, in which each array `0.npy`, `1.npy`, ... has been written.
        key: The final name of the folder.
        writers: The writers of the arrays.

    Raises:
        OSError: The disk is full.
    """
    arrays = []
    for place, writer in enumerate(writers):
        checksums = writer.finish().tobytes()
        (folder / f"{place}.sums").write_bytes(checksums)
        entry = {"dtype": writer.dtype.name, "shape": list(writer.shape)}
        arrays.append({**entry, "sha256": _digest(entry, checksums)})
    with open(folder / MANIFEST, "x", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "key": key, "arrays": arrays}, file)


def open_features(folder: Path) -> tuple[RowReader, ...] | None:
    """Open the arrays of a folder after verifying every row.

    Verifying reads all rows at about 2 GB per second and core; a process verifies each large file
    only once.

    Args:
        folder: The folder.

    Returns:
        The arrays; None if there is no such folder.

    Raises:
        ValueError: A file is damaged or missing.
        OSError: A file cannot be read.
    """
    try:
        content = _content(folder / MANIFEST, _LARGEST_MANIFEST)
    except FileNotFoundError:
        if folder.is_dir():
            raise ValueError(f"it has no {MANIFEST}") from None
        return None
    readers: list[RowReader] = []
    try:
        for place, entry in enumerate(_entries(folder, content)):
            readers.append(_open(folder, place, entry))
    except BaseException:
        for reader in readers:
            reader.close()
        raise
    return tuple(readers)


def _entries(folder: Path, content: bytes) -> list[Any]:
    try:
        manifest = json.loads(content)
        key, arrays = manifest["key"], list(manifest["arrays"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"its {MANIFEST} is damaged") from error
    if manifest.get("format") != FORMAT or not arrays:
        raise ValueError(f"its {MANIFEST} is damaged")
    if key != folder.name:
        raise ValueError(f"they belong to another key, {str(key)[:64]!r}")
    return arrays


def _open(folder: Path, place: int, entry: Any) -> RowReader:
    path = folder / f"{place}.npy"
    try:
        shape = tuple(int(size) for size in entry["shape"])
        dtype = np.dtype(getattr(ml_dtypes, entry["dtype"], entry["dtype"]))
        expected = entry.pop("sha256")
        count = shape[0]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"its {MANIFEST} is damaged") from error
    checksums = _content(folder / f"{place}.sums", 8 * count + 1)
    if _digest(entry, checksums) != expected:
        raise ValueError(f"the checksums of {path.name} are damaged")
    reader = RowReader(path, shape, dtype)
    try:
        state = (*reader.identity, expected)
        if reader.is_in_memory or _checked.get(path) != state:
            damaged = reader.count_damaged(np.frombuffer(checksums, "<u8"))
            if damaged:
                raise ValueError(f"{damaged} of {len(reader)} rows of {path.name} are damaged")
            _checked[path] = state
    except BaseException:
        reader.close()
        raise
    return reader


def _content(path: Path, most: int) -> bytes:
    with open(path, "rb", opener=open_nonblocking) as file:
        return file.read(most)


def _digest(entry: dict[str, Any], checksums: bytes) -> str:
    """Hash an array's checksums together with its type and shape."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode() + checksums).hexdigest()
