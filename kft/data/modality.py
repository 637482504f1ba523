"""The modalities of inputs, image, text and clip: one entry with all that readers of data need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.data import images
from kft.data.bad import BadExamples
from kft.data.clips.frames import CLIP_SUFFIXES, FRAME_SUFFIXES, holds_frames
from kft.data.clips.reading import broken_clips, check_clips, inspect_clips, largest_clip
from kft.data.clips.rows import clip_rows
from kft.data.clips.walk import clips_below
from kft.data.encodings import LONGEST
from kft.data.folder_walk import files_below, walked
from kft.data.image_files import IMAGE_SUFFIXES, OTHER_SUFFIXES, inspect_files, largest_file
from kft.data.pixels import image_rows
from kft.data.sequences import Rows, numeric
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["CLIP", "IMAGE", "MODALITIES", "TEXT", "Modality", "modality_named"]

Reasons = dict[int, str]  # why inputs cannot be used, by index


@dataclass(frozen=True, kw_only=True)
class Modality:
    """How inputs of one kind are stored in files, tables and memory, and how they are checked.

    Args:
        name: The name in recipes and messages, such as `"image"`.
        suffixes: Suffixes of its files, in lower case.
        is_text: Whether inputs are the texts themselves, as opposed to files or numbers.
        stored: The kind of `Examples` whose inputs are paths of files.
        encoded: The kind of `Examples` whose inputs are the contents of such files.
        column: The argument that names the column of the inputs in a table.
        in_tables: The content of such a column, for messages.
        rows: Converts inputs in memory, given their name and the largest image, to their kind, the
            inputs, and reasons for bad ones; see `kft.data.pixels.image_rows`.
        check: Returns reasons for files or contents that cannot be decoded, given the largest image.
        inspect: Checks only the headers, and returns a reason or None for each.
        broken: Returns reasons for files that cannot be decoded, given that their headers are valid.
        largest: Returns the largest file in bytes for the largest image.
        holds: Returns whether a folder is an input itself.
        below: Returns the inputs in a class folder, given the root and a collector of bad files.
        walk: Yields the inputs below a folder, and why each cannot be used.
    """

    name: str
    suffixes: frozenset[str]
    is_text: bool = False
    stored: str
    encoded: str
    column: str = "path_column"
    in_tables: str
    rows: Callable[[Rows, str, int], tuple[str, Rows, Reasons]]
    check: Callable[[Sequence[Any], int], Reasons]
    inspect: Callable[[Sequence[Any], int], list[str | None]]
    broken: Callable[[Sequence[Any]], Reasons]
    largest: Callable[[int], int]
    holds: Callable[[Path], bool] = lambda folder: False
    below: Callable[[Path, Path, BadExamples], list[Path]] = files_below
    walk: Callable[[Path, Path], Iterator[tuple[Path, str]]]


def modality_named(name: Any) -> Modality:
    """Return the modality with a name.

    Raises:
        InputError: There is no such modality.
    """
    if isinstance(name, str) and name in MODALITIES:
        return MODALITIES[name]
    *first, last = map(repr, MODALITIES)
    raise InputError(f"modality={name!r}, but {', '.join(first)} or {last} is expected")


def _text_rows(rows: Rows, name: str, max_pixels: int) -> tuple[str, Rows, Reasons]:
    array = numeric(rows)
    if array is not None:
        return "arrays", array, {}
    if isinstance(rows, np.ndarray) and rows.dtype.kind not in "OUST":
        raise InputError(
            f"{name} has dtype {rows.dtype}, but numbers, texts or paths are expected: convert it "
            "first"
        )
    values = rows.tolist() if isinstance(rows, np.ndarray) else rows
    found = [text_value(value) for value in values]
    reasons = {n: reason for n, (_, reason) in enumerate(found) if reason}
    return "texts", [text for text, _ in found], reasons


IMAGE = Modality(
    name="image",
    suffixes=IMAGE_SUFFIXES,
    stored="image_files",
    encoded="image_bytes",
    in_tables="paths of images",
    rows=image_rows,
    check=images.check_images,
    inspect=inspect_files,
    broken=images.broken,
    largest=largest_file,
    walk=lambda folder, root: walked(folder, root, IMAGE_SUFFIXES | OTHER_SUFFIXES),
)
_TEXT_SUFFIXES = frozenset({".txt"})
TEXT = Modality(
    name="text",
    suffixes=_TEXT_SUFFIXES,
    is_text=True,
    stored="texts",
    encoded="texts",
    column="text_column",
    in_tables="texts",
    rows=_text_rows,
    check=lambda values, max_pixels: {},
    inspect=lambda values, max_pixels: [None] * len(values),
    broken=lambda values: {},
    largest=lambda max_pixels: 4 * LONGEST,
    walk=lambda folder, root: walked(folder, root, _TEXT_SUFFIXES),
)
CLIP = Modality(
    name="clip",
    suffixes=CLIP_SUFFIXES,
    stored="clip_files",
    encoded="clip_bytes",
    in_tables="paths of clips",
    rows=clip_rows,
    check=check_clips,
    inspect=inspect_clips,
    broken=broken_clips,
    largest=largest_clip,
    holds=holds_frames,
    below=clips_below,
    walk=lambda folder, root: walked(folder, root, CLIP_SUFFIXES, FRAME_SUFFIXES),
)
MODALITIES = {one.name: one for one in (CLIP, IMAGE, TEXT)}
