"""Commits: atomic snapshots of a run's state on disk, verified by hashes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kft.errors import InputError, KftError
from kft.runs.files import sync
from kft.runs.reading import read_object

STATE = "state.json"
ARRAYS = "arrays-{:03}.safetensors"
MANIFEST = "manifest.json"

_NAME = re.compile(r"commit-(\d{8,18})")
_ARRAYS_NAME = re.compile(r"arrays-\d{3,6}\.safetensors")
_HIDDEN = ".writing-"
LARGEST = 2**40  # bytes of arrays, unless a model sets a lower limit
_LARGEST_JSON = 64 * 2**20
_SHARD = 256 * 2**20  # bytes per file, which are copied in memory while it is written


@dataclasses.dataclass(frozen=True, eq=False)
class Commit:
    """A verified state that was read from disk.

    Attributes:
        path: its directory.
        state: the JSON part.
        arrays: the arrays by name.
    """

    path: Path
    state: dict[str, Any]
    arrays: dict[str, np.ndarray]


def write_commit(
    directory: Path, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray], keep: int
) -> Path:
    """Add a commit to a directory, then remove all but the newest.

    The files are written into a hidden directory and synced to the disk, the manifest with their
    hashes last; a single rename makes the commit visible. A process that dies before it leaves the
    earlier commits unchanged.

    Args:
        directory: the directory of the commits, created if necessary.
        state: JSON values.
        arrays: arrays by name, of any NumPy dtype that safetensors supports.
        keep: the number of commits to keep.

    Returns:
        The new commit's directory.

    Raises:
        OSError: the disk is full or cannot be written to; the earlier commits are unchanged.
    """
    from safetensors.numpy import save

    directory.mkdir(parents=True, exist_ok=True)
    earlier = _commits(directory)
    number = _number(earlier[0]) + 1 if earlier else 1
    hidden = directory / f"{_HIDDEN}{secrets.token_hex(8)}"
    hidden.mkdir()
    try:
        manifest = {}
        for index, shard in enumerate(_shards(arrays)):
            name = ARRAYS.format(index)
            manifest[name] = _write(hidden / name, save(shard))
        manifest[STATE] = _write(hidden / STATE, _json(state))
        _write(hidden / MANIFEST, _json(manifest))
        sync(hidden)
        path = directory / f"commit-{number:08d}"
        hidden.rename(path)
        sync(directory)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    for old in earlier[max(keep - 1, 0) :]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def read_newest(directory: Path, most: int = LARGEST) -> Commit | None:
    """Return the newest undamaged commit; None if there are no commits.

    Damaged commits are skipped, with a warning that describes the damage.

    Args:
        directory: the directory of the commits.
        most: as for `read_commit`.

    Raises:
        KftError: there are commits, but all of them are damaged.
    """
    commits = _commits(directory)
    damage = []
    for path in commits:
        try:
            commit = read_commit(path, most)
        except KftError as error:
            damage.append(str(error))
            continue
        if damage:
            warnings.warn(f"{'; '.join(damage)}. Resuming from {path.name}.", stacklevel=2)
        return commit
    if damage:
        raise KftError(
            f"No commit in {directory} can be used: {'; '.join(damage)}. Restore one from a copy, or "
            "start over in a new directory."
        )
    return None


def read_commit(path: Path, most: int = LARGEST) -> Commit:
    """Read a commit after comparing each file with its hash.

    Args:
        path: its directory.
        most: the maximum total size of its arrays in bytes.

    Raises:
        KftError: a file is missing, damaged or too large.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        manifest = _read(path / MANIFEST)
        if STATE not in manifest:
            raise KftError(f"{path / MANIFEST} is damaged")
        arrays_size = sum(entry["bytes"] for name, entry in manifest.items() if name != STATE)
        _check_size(path, "arrays", arrays_size, most)
        _check_size(path, "JSON", manifest[STATE]["bytes"], _LARGEST_JSON)
        for name, entry in manifest.items():
            _check(path, name, entry)
        state = _read(path / STATE)
        arrays: dict[str, np.ndarray] = {}
        for name in manifest.keys() - {STATE}:
            arrays |= load_file(path / name)
        return Commit(path, state, arrays)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise KftError(f"{path} cannot be read: {error}") from error


def clear(directory: Path) -> None:
    """Remove all commits of a directory, and the directory itself if it is then empty.

    Raises:
        OSError: A commit cannot be removed.
    """
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if _NAME.fullmatch(path.name) or path.name.startswith(_HIDDEN):
            shutil.rmtree(path)
    with contextlib.suppress(OSError):
        directory.rmdir()


def remove_leftovers(directory: Path) -> None:
    """Remove leftovers of killed writers; only the holder of the directory's lock may call it."""
    if directory.is_dir():
        for path in directory.glob(f"{_HIDDEN}*"):
            shutil.rmtree(path, ignore_errors=True)


def _commits(directory: Path) -> list[Path]:
    """Return the commits, newest first."""
    if not directory.is_dir():
        return []
    found = [path for path in directory.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=_number, reverse=True)


def _number(path: Path) -> int:
    return int(path.name.partition("-")[2])


def _shards(arrays: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    shard: dict[str, np.ndarray] = {}
    size = 0
    for name, array in arrays.items():
        if shard and size + array.nbytes > _SHARD:
            yield shard
            shard, size = {}, 0
        shard[name] = np.asarray(array, order="C")
        size += array.nbytes
    yield shard


def _write(path: Path, content: bytes) -> dict[str, Any]:
    """Write and sync a file, and return its entry in the manifest."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _check_size(path: Path, what: str, size: int, most: int) -> None:
    if size > most:
        raise KftError(f"{path} has {size:,} bytes of {what}, but at most {most:,} are expected")


def _check(directory: Path, name: str, entry: Any) -> None:
    """Compare a file with its entry in the manifest."""
    if name != STATE and not _ARRAYS_NAME.fullmatch(name):
        raise KftError(f"{directory / MANIFEST} names {name!r}, which is not a file of a commit")
    path = directory / name
    if path.is_symlink() or not path.is_file():
        raise KftError(f"{path} is missing")
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise KftError(f"{path} has {size} bytes, but {entry['bytes']} were written")
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
            raise KftError(f"{path} is not what was written: its SHA-256 differs")


def _read(path: Path) -> dict[str, Any]:
    if path.is_symlink() or not path.is_file():
        raise KftError(f"{path} is missing")
    try:
        return read_object(path, _LARGEST_JSON)
    except InputError as error:
        raise KftError(str(error)) from error


def _json(content: Any) -> bytes:
    written = json.dumps(content, default=_plain).encode()
    if len(written) > _LARGEST_JSON:
        raise InputError(
            f"The state of a callback has {len(written):,} bytes as JSON, but at most "
            f"{_LARGEST_JSON:,} are read back: let its `get_state` return NumPy arrays."
        )
    return written


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
