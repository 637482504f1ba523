"""Clips in memory: the forms in which they are accepted, and the checks of arrays."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kft.data.clips.frames import CLIP_SUFFIXES, FRAME_SUFFIXES
from kft.data.clips.reading import inspect_clips
from kft.data.files import shown
from kft.data.gaps import not_finite
from kft.data.image_files import MAX_PIXELS
from kft.data.patterns import files_named
from kft.data.pixels import check_range, check_shape, image_rows, is_encoded, is_pillow
from kft.data.raw_texts import refuse_inputs
from kft.data.sequences import Rows, as_rows, numeric
from kft.data.values import is_missing, kind_of
from kft.errors import InputError

__all__ = ["check_clips_in_memory", "clip_rows", "raw_clips"]

_EXPECTED = (
    "Clips are expected: paths of videos, GIFs or folders of frames, their contents (bytes), lists of "
    "encoded frames, or arrays."
)
_KINDS = {
    "clip_files": "a path",
    "clip_bytes": "the content of a file",
    "arrays": "an array",
}


def clip_rows(
    rows: Rows, name: str, max_pixels: int = MAX_PIXELS
) -> tuple[str, Rows, dict[int, str]]:
    """Determine the form of clips; the arguments and errors are those of `kft.data.pixels.image_rows`.

    Returns:
        `(kind, clips, reasons)`: the kind of `Examples`; paths as strings, contents of files as `bytes`,
        encoded frames as a tuple of `bytes`, pixels as one array `[n, frames, height, width, ...]` or as
        an array of arrays if shapes differ; and reasons for unusable clips by index.
    """
    if isinstance(rows, np.ndarray) and rows.dtype.kind in "biuf":
        return "arrays", rows, {}
    clips: list[Any] = []
    kinds: dict[str, int] = {}
    reasons: dict[int, str] = {}
    for index, value in enumerate(rows):
        kind, clip, reason = _converted(value, max_pixels)
        clips.append(clip)
        if reason:
            reasons[index] = reason
        else:
            kinds.setdefault(kind, index)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise InputError(
            f"{name}[{first}] is {_KINDS[one]} and {name}[{second}] {_KINDS[other]}: pass clips of one "
            "kind"
        )
    if not kinds:
        raise InputError(f"{name} has no usable clip; the first is {reasons[0]}")
    kind = next(iter(kinds))
    return kind, _in_one(clips) if kind == "arrays" else clips, reasons


def check_clips_in_memory(clips: np.ndarray, source: str) -> None:
    """Check that arrays have the shape of clips and values from 0 to 255.

    Args:
        clips: One array, or an array of arrays if shapes differ.
        source: The name of the clips in messages.

    Raises:
        InputError: The array is a single clip or has another shape, a clip has no frames or another
            number of channels, or values are out of range.
    """
    if clips.dtype != object:
        if clips.ndim == 4 and clips.shape[-1] in (1, 3, 4):
            raise InputError(
                f"an array of shape {clips.shape} is one clip, but an array of clips is [n, frames, "
                "height, width, channels]: pass clip[None]"
            )
        if clips.ndim not in (4, 5) or 0 in clips.shape[1:]:
            raise InputError(
                f"clips of shape {clips.shape}, but an array of clips is [n, frames, height, width, "
                "channels] with 1, 3 or 4 channels: add the missing axis"
            )
    for clip in clips:
        if not len(clip):
            raise InputError(f"a clip of {source} has no frames: leave it out")
        check_shape(np.shape(clip))
    check_range(clips, source)


def raw_clips(raw: Any, max_pixels: int = MAX_PIXELS) -> Any:
    """Return clips without labels in order, checked as far as possible without decoding.

    Args:
        raw: A path, the content of a file, a list or column of these or of lists of encoded frames, a
            folder for all clips below it, a pattern such as `"clips/*.mp4"`, or an array
            `[n, frames, height, width, channels]` with values from 0 to 255.
        max_pixels: The largest frame to accept, width times height.

    Raises:
        InputError: A clip cannot be used, or an array has another shape or range.
    """
    files = files_named(raw, "clip", CLIP_SUFFIXES, FRAME_SUFFIXES)
    raw = raw if files is None else files
    single = isinstance(raw, str | os.PathLike) or is_encoded(raw)
    rows = as_rows([raw] if single else raw, "raw")
    if not len(rows):
        return rows
    kind, clips, reasons = clip_rows(rows, "raw", max_pixels)
    if kind == "arrays":
        assert isinstance(clips, np.ndarray)
        refuse_inputs(reasons | dict.fromkeys(not_finite(clips, ""), "NaN or infinity"))
        check_clips_in_memory(clips, "the input")
        return clips
    usable = [index for index in range(len(clips)) if index not in reasons]
    found = inspect_clips([clips[index] for index in usable], max_pixels)
    reasons |= {index: why for index, why in zip(usable, found, strict=True) if why}
    names = {index: shown(clips[index]) for index in reasons if isinstance(clips[index], str)}
    refuse_inputs(reasons, names, _EXPECTED)
    return clips


def _converted(value: Any, max_pixels: int) -> tuple[str, Any, str]:
    """Return the kind of one clip, the clip in its stored form or None, and why it is unusable."""
    if is_missing(value):
        return "", None, "no clip"
    if isinstance(value, str | os.PathLike):
        return "clip_files", str.__str__(os.fsdecode(value)), ""
    if is_encoded(value):
        return "clip_bytes", bytes(value), ""
    if isinstance(value, list | tuple) and value and all(map(is_encoded, value)):
        return "clip_bytes", tuple(map(bytes, value)), ""
    if isinstance(value, list | tuple) and any(map(is_pillow, value)):
        kind, frames, reasons = image_rows(list(value), "a clip", max_pixels)
        if reasons or kind != "arrays" or isinstance(frames, list):
            return "", None, "frames of several kinds or sizes: pass them as arrays, or encoded"
        return "arrays", np.asarray(frames), ""
    array = numeric([value])
    if array is None:
        return "", None, f"{kind_of(value)}, but a clip is expected"
    return "arrays", array[0], "NaN or infinity" if not_finite(array, "") else ""


def _in_one(clips: list[Any]) -> np.ndarray:
    """Return arrays as one array, or as an array of arrays if they differ in shape."""
    blank = np.zeros((1, 1, 1, 3), np.uint8)
    if len({clip.shape for clip in clips if clip is not None}) == 1:
        shape = next(clip.shape for clip in clips if clip is not None)
        return np.stack([np.zeros(shape, np.uint8) if clip is None else clip for clip in clips])
    found = np.empty(len(clips), dtype=object)
    for index, clip in enumerate(clips):
        found[index] = blank if clip is None else clip
    return found
