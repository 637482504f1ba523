"""The frozen-feature cache: what a stage keeps frozen is computed once and kept on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import ml_dtypes
import numpy as np

from kft.cuts import Cut
from kft.data.batches import Batches
from kft.data.examples import Examples
from kft.distribution import hosts
from kft.distribution.spreading import copied
from kft.errors import InputError
from kft.folding import folded
from kft.forward import Forward
from kft.mapped import MappedArray
from kft.runs.locks import RunLock

_MANIFEST = "features.json"
_LOCK = ".lock"
_DTYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
_PACKAGES = ("kft", "keras", "keras-hub", "tensorflow", "jax", "torch")


@dataclasses.dataclass(frozen=True)
class Features:
    """The outputs of a prefix for every example, in the order of the examples.

    Attributes:
        arrays: one array `[n, ...]` for each cut tensor, read from disk as needed; with several
            views of each example `[views * n, ...]`, one view after the other.
        computed: whether the prefix ran, rather than an earlier run's outputs being used.
        varies: for each array whether its sequences may be cut to a shorter length.
    """

    arrays: tuple[MappedArray, ...]
    computed: bool
    varies: tuple[bool, ...]

    def load(
        self, indices: np.ndarray, length: int | None = None
    ) -> np.ndarray | tuple[np.ndarray, ...]:
        """The suffix' inputs for these examples.

        Args:
            indices: which examples.
            length: tokens to cut sequences to. By default they are as long as they are kept.
        """
        rows = tuple(
            _numbers(array[indices][:, :length] if varies else array[indices])
            for array, varies in zip(self.arrays, self.varies, strict=True)
        )
        return rows[0] if len(rows) == 1 else rows


def _numbers(rows: np.ndarray) -> np.ndarray:
    """Rows in a type that every backend takes from NumPy."""
    return np.asarray(rows, np.float32 if rows.dtype == ml_dtypes.bfloat16 else None)


class FeatureStore:
    """A directory of features, each under a key made from the content that decides them.

    Args:
        directory: where the features lie; it is made when they are first written.
        limit: most bytes to keep; the longest unused go first. Defaults to 50 GB.
        dtype: `"float32"` keeps features as they are, `"float16"` and `"bfloat16"` in half the
            space, rounded: to 11 significant bits below 65,504, or to 8 bits in float32's range.

    Attributes:
        passes: how many examples went through a prefix so far, rather than being found on disk.

    Raises:
        InputError: an argument is out of its range.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, limit: int = 50 * 10**9, dtype: str = "float32"
    ) -> None:
        if dtype not in _DTYPES:
            raise InputError(f"`dtype={dtype!r}`: pass one of {', '.join(map(repr, _DTYPES))}.")
        if limit < 0:
            raise InputError(f"`limit={limit!r}`: pass a number of bytes, 0 or more.")
        self.directory, self.limit, self.dtype = Path(directory), limit, dtype
        self._compiled: tuple[tuple[Cut, ...], Forward] | None = None
        self.passes = 0

    def fetch(
        self, cuts: Sequence[Cut], batches: Batches, identity: str, views: int = 1
    ) -> list[Features | None]:
        """The features of all examples at each cut, from disk or computed now in a single pass.

        Args:
            cuts: cuts of one model; those that are not on disk yet are computed together.
            batches: the examples as the model takes them, not shuffled; no batch has longer
                sequences than the first.
            identity: what decides the model's inputs besides the examples: the preprocessing.
            views: how many epochs of the batches are kept, each with another augmentation.

        Returns:
            Features for each cut; None, with a warning, for all that could not be written.
        """
        folders = [self.directory / self._key(cut, batches.examples, identity) for cut in cuts]
        known = {folder: _read(folder) for folder in folders}
        missing = {f: c for f, c in zip(folders, cuts, strict=True) if known[f] is None}
        for folder in known.keys() - missing.keys():
            os.utime(folder)
        try:
            if missing:
                missing = self._write_alone(missing, batches, views)
        except OSError as error:
            warnings.warn(
                f"The frozen features could not be kept in {self.directory} ({error}): the stage "
                "goes on without them, slower and with the same result.",
                stacklevel=2,
            )
        self._evict(keep=folders)
        found = []
        for folder, cut in zip(folders, cuts, strict=True):
            arrays, computed = _read(folder), folder in missing
            found.append(None if arrays is None else Features(arrays, computed, cut.varies))
        return found

    def _key(self, cut: Cut, examples: Examples, identity: str) -> str:
        parts = [cut.digest, examples.fingerprint(), identity, self.dtype, _versions()]
        parts.append(keras.backend.backend())
        parts.append(str([tuple(tensor.shape) for tensor in cut.prefix.outputs]))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def _write_alone(
        self, missing: dict[Path, Cut], batches: Batches, views: int
    ) -> dict[Path, Cut]:
        """Write what no other process has written while it was waited for; return that."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = RunLock(self.directory, _LOCK)
        with contextlib.suppress(InputError):  # without it work is done twice, and no harm
            lock.acquire(wait=math.inf)
        try:
            missing = {folder: cut for folder, cut in missing.items() if _read(folder) is None}
            if missing:
                with hosts.alone():  # the others wait, and could not take part
                    self._write(missing, batches, views)
        finally:
            lock.release()
        return missing

    def _write(self, missing: dict[Path, Cut], batches: Batches, views: int) -> None:
        hidden = {
            folder: Path(tempfile.mkdtemp(prefix=".writing-", dir=self.directory))
            for folder in missing
        }
        try:
            kept = {hidden[folder]: cut for folder, cut in missing.items()}
            dtypes = self._run(kept, batches, views)
            for folder, unfinished in hidden.items():
                manifest = {
                    path.name: {"bytes": path.stat().st_size, "dtype": dtypes[path]}
                    for path in unfinished.iterdir()
                }
                with open(unfinished / _MANIFEST, "w", encoding="utf-8") as file:
                    json.dump(manifest, file)
                    file.flush()
                    os.fsync(file.fileno())
                _publish(unfinished, folder)
        finally:
            for unfinished in hidden.values():
                shutil.rmtree(unfinished, ignore_errors=True)

    def _run(self, cuts: dict[Path, Cut], batches: Batches, views: int) -> dict[Path, str]:
        """Runs the prefixes once over the examples; only a batch is in memory at a time."""
        tensors = [tensor for cut in cuts.values() for tensor in cut.prefix.outputs]
        paths = [
            folder / f"{place}.npy"
            for folder, cut in cuts.items()
            for place in range(len(cut.prefix.outputs))
        ]
        forward = self._forward(tuple(cuts.values()), tensors)
        files: list[MappedArray] = []
        count, size = len(batches.examples), batches.batch_size
        for place in range(views * len(batches)):
            view, index = divmod(place, len(batches))
            batches.epoch = view
            rows = batches.order(view)[index * size : (index + 1) * size] + view * count
            outputs = keras.tree.flatten(forward(batches[index][0]))
            if not files:
                for path, output in zip(paths, outputs, strict=True):
                    dtype = self._stored(output.dtype)
                    _reserve(path, (views * count, *output.shape[1:]), _on_disk(dtype))
                    files.append(MappedArray(path, dtype, writable=True))
            for file, output in zip(files, outputs, strict=True):
                shorter = output.shape[1:] != file.shape[1:]  # the longest texts came first
                file[(rows, slice(output.shape[1])) if shorter else rows] = output
        self.passes += views * count
        for file in files:
            file.flush()
        return {path: file.dtype.name for path, file in zip(paths, files, strict=True)}

    def _forward(self, cuts: tuple[Cut, ...], tensors: list) -> Forward:
        """Validation data run through what was compiled for the training data."""
        if self._compiled is None or self._compiled[0] != cuts:
            prefix = keras.Model(cuts[0].prefix.input, tensors)
            prefix = copied(prefix) if hosts.count() > 1 else prefix
            self._compiled = cuts, Forward(folded(prefix))
        return self._compiled[1]

    def _stored(self, dtype: np.dtype) -> np.dtype:
        floating = np.issubdtype(dtype, np.floating)
        return _DTYPES[self.dtype] if floating and dtype.itemsize > 2 else np.dtype(dtype)

    def _evict(self, keep: list[Path]) -> None:
        """Removes the features that have gone unused for longest, down to the limit."""
        if not self.directory.is_dir():
            return
        others = [path for path in self.directory.iterdir() if not path.name.startswith(".")]
        others = [path for path in others if path not in keep and path.is_dir()]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        total = sum(_size(folder) for folder in keep if folder.is_dir())
        for folder in others:
            total += _size(folder)
            if total > self.limit:
                shutil.rmtree(folder, ignore_errors=True)


def _on_disk(dtype: np.dtype) -> np.dtype:
    """NumPy's files know no bfloat16: its bits are kept as integers."""
    return np.dtype(np.uint16) if dtype == ml_dtypes.bfloat16 else dtype


def _reserve(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Makes the file in its full size: a full disk shows now, not as a crash while it is written."""
    with open(path, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
        size = file.tell() + int(np.prod(shape)) * dtype.itemsize
        file.flush()
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _publish(unfinished: Path, folder: Path) -> None:
    """Makes complete features visible, unless another process was first; damaged ones give way."""
    if _read(folder) is not None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unfinished.rename(folder)
    except OSError:
        if _read(folder) is None:
            raise


def _read(folder: Path) -> tuple[MappedArray, ...] | None:
    """The arrays of complete features, None if there are none."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        names = sorted(manifest, key=lambda name: int(name.partition(".")[0]))
        if any(os.path.getsize(folder / name) != manifest[name]["bytes"] for name in names):
            return None
        return tuple(MappedArray(folder / name, manifest[name]["dtype"]) for name in names)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _versions() -> str:
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return json.dumps(found)
