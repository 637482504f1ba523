"""Conversion of masks that were read to targets: checked once, numbered, and resized per batch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kft.data.raw_labels import RawLabels, ReadTargets, Targets
from kft.data.sequences import numeric
from kft.data.threads import map_in_threads
from kft.data.values import is_missing, kind_of
from kft.errors import InputError
from kft.tasks.masks.files import Ignored, MaskFile, check_size, numbered, sizes_of
from kft.tasks.masks.stored import IGNORED, StoredMask

__all__ = ["batch_of", "mask_targets", "pixels_of"]

Row = np.ndarray | StoredMask


def mask_targets(
    raw: RawLabels,
    classes: Sequence[str] | None,
    colors: Mapping[str, tuple[int, int, int]] | None,
    ignored: Ignored,
) -> ReadTargets:
    """Return masks as rows: arrays uint8 `[height, width]`, or `StoredMask`s for files.

    Every mask is checked once, in parallel.

    Args:
        raw: Labels that are arrays of class numbers, paths, or `StoredMask`s.
        classes: The classes; None for those of the data, or else the numbers up to the largest in use.
        colors: The colour of each class in files; None for class numbers.
        ignored: The class number, or in files the colour, of ignored pixels.
    """
    sizes = [None] * len(raw.values) if raw.inputs is None else sizes_of(raw.inputs)
    known = classes or raw.numbered

    def look(place: int) -> tuple[Row | None, str]:
        try:
            row = _looked_at(raw.values[place], sizes[place], colors, ignored)
        except InputError as error:
            return None, str(error)
        most = int(np.max(np.flatnonzero(pixels_of(row)), initial=0))
        if known is not None and most >= len(known):
            return None, (
                f"its mask has the class number {most}, but there are {len(known)} classes, from 0 to "
                f"{len(known) - 1}"
            )
        return row, ""

    looked = map_in_threads(look, range(len(raw.values)))
    reasons = {n: raw.with_column(reason) for n, (_, reason) in enumerate(looked) if reason}

    def of(kept: np.ndarray | None) -> Targets:
        chosen = range(len(looked)) if kept is None else kept.tolist()
        rows = np.empty(len(chosen), object)
        for place, index in enumerate(chosen):
            rows[place] = looked[index][0]
        if len(rows) and not any(pixels_of(row).any() for row in rows):
            raise InputError(
                f"every pixel of every mask in {raw.source} is ignored, so that nothing can be learnt or "
                f"compared: pass another value than ignore={ignored}, or other masks"
            )
        names = known or tuple(map(str, range(_count(rows))))
        return Targets(rows, tuple(names))

    return ReadTargets(reasons, of)


def pixels_of(row: Row) -> np.ndarray:
    """Return the number of pixels of each class number from 0 to 254 in a mask."""
    counted = row.pixels if isinstance(row, StoredMask) else np.bincount(row[row != IGNORED])
    found = np.zeros(IGNORED, np.int64)
    found[: len(counted)] = counted
    return found


def batch_of(rows: Sequence[Row], size: tuple[int, int] | None) -> np.ndarray:
    """Return the masks of a batch, resized by nearest neighbour, uint8 `[n, height, width]`.

    Args:
        rows: The masks.
        size: Height and width; None for masks of equal size.

    Raises:
        InputError: If a file has changed since it was checked, and is no longer a valid mask.
    """
    return np.stack([_resized(mask, size) for mask in map_in_threads(_read, list(rows))])


def _looked_at(
    value: Any,
    size: tuple[int, int] | None,
    colors: Mapping[str, tuple[int, int, int]] | None,
    ignored: Ignored,
) -> Row:
    if is_missing(value):
        raise InputError("no mask")
    if isinstance(value, str | os.PathLike):
        value = MaskFile(os.fsdecode(value), colors, ignored)
    if isinstance(value, StoredMask):
        return value.looked_at(size)
    if np.ma.is_masked(value):
        raise InputError(
            f"its mask is an array with {np.ma.count_masked(value)} masked pixels: fill them, such as by "
            "mask.filled(255) for what is ignored"
        )
    array = numeric([value])
    if array is not None and array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array is None or array.ndim != 3:
        got = kind_of(value) if array is None or array.ndim == 1 else f"of shape {array.shape[1:]}"
        raise InputError(
            f"its mask is {got}, but a path or whole numbers [height, width] are expected"
        )
    partial = array[~np.isfinite(array) | (array != np.round(array))]
    if partial.size:
        raise InputError(
            f"its mask has the value {partial[0]:g}, but class numbers are whole numbers from 0"
        )
    check_size(array.shape[1:], size)
    return numbered(array[0], ignored)


def _read(row: Row) -> np.ndarray:
    if not isinstance(row, StoredMask):
        return row
    try:
        return row.read()
    except InputError as error:
        raise InputError(f"{row.path}: {error}") from error


def _resized(mask: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Resize a mask by the old pixel that contains the centre of each new one, aligned with images."""
    if size is None or mask.shape == size:
        return mask
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.int64)
        for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns]


def _count(rows: np.ndarray) -> int:
    """Return the number of classes if the largest number in use is the last class; at least 2."""
    used = [np.max(np.flatnonzero(pixels_of(row)), initial=1) for row in rows if row is not None]
    return int(max(used, default=1)) + 1
