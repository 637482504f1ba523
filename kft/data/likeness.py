"""Near-duplicate detection by hashes, without comparing all pairs."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from kft.data.examples import Examples
from kft.data.threads import map_in_threads

SIDE = 16  # pixels of the thumbnails that are compared
MOST_BITS = 12  # of 128 that may differ between the hashes of similar images
MOST_GRAY = 8.0  # of 255: the largest mean difference of their thumbnails
SHINGLE = 4  # characters
LIKENESS = 0.8  # the least Jaccard similarity of the shingles of similar texts
MOST_CHARACTERS = 4000
WINDOW = 32  # neighbours to compare in the order of each band


@dataclass(frozen=True)
class Fingerprints:
    """The hashes of examples, and the contents by which candidate pairs are compared.

    Attributes:
        bands: Integers `[n, bands]`; similar examples usually share at least one band.
        contents: The shingles of texts, or thumbnails of images `[n, 16, 16]`, NaN where one cannot be
            read. The bands of an image are its whole hash.
    """

    bands: np.ndarray
    contents: Sequence[frozenset[int]] | np.ndarray


def fingerprints(examples: Examples) -> Fingerprints | None:
    """Return the hashes of images or texts; None for clips, other arrays and several inputs.

    Images get a difference hash of 128 bits: whether the gray value rises from each of 8 x 8 places to
    the neighbour on its right and below it. Texts get a MinHash (Broder 1997) of their runs of four
    characters, without case, accents and punctuation.
    """
    if isinstance(examples.inputs, dict):
        return None
    if examples.kind == "texts":
        shingled = [_shingles(str(text)) for text in examples.inputs]
        return Fingerprints(_min_hashes(shingled), shingled)
    if examples.kind in ("clip_files", "clip_bytes"):
        return None
    if examples.kind == "arrays" and not _are_images(examples.inputs):
        return None
    # Reading the files already warned. Filters are global to the process, so no thread sets them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pictures = np.stack(map_in_threads(_small, examples.inputs))
    return Fingerprints(_difference_hashes(pictures), pictures)


def alike_pairs(both: Sequence[Fingerprints]) -> list[tuple[int, int]]:
    """Return the pairs of similar examples, numbered consecutively through all sets.

    Each example is compared with the next 32 of the same band, so that the work grows with `n log n`.

    Args:
        both: Hashes of the same kind, one for each set of examples.

    Returns:
        Pairs of indices in ascending order.
    """
    bands = np.concatenate([one.bands for one in both])
    sharing = [np.empty(0, "int64")]
    for column in bands.T:
        order = np.lexsort((*bands.T, column))
        for shift in range(1, min(WINDOW, len(order) - 1) + 1):
            same = np.flatnonzero(column[order[shift:]] == column[order[:-shift]])
            if not len(same):
                break
            pair = np.sort([order[same], order[same + shift]], axis=0)
            sharing.append(pair[0] * len(bands) + pair[1])
    pairs = np.stack(np.divmod(np.unique(np.concatenate(sharing)), len(bands)), axis=1)
    if isinstance(both[0].contents, np.ndarray):
        pictures = np.concatenate([one.contents for one in both])
        alike = _alike_pictures(bands, pictures, pairs)
    else:
        shingled = [content for one in both for content in one.contents]
        alike = np.array([_alike_texts(shingled[i], shingled[j]) for i, j in pairs], bool)
    return [(int(i), int(j)) for i, j in pairs[alike]]


def _alike_texts(one: frozenset[int], other: frozenset[int]) -> bool:
    return bool(one or other) and len(one & other) >= LIKENESS * len(one | other)


def _alike_pictures(hashes: np.ndarray, pictures: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    alike = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), 10_000):
        one, other = pairs[start : start + 10_000].T
        near = np.bitwise_count(hashes[one] ^ hashes[other]).sum(axis=1) <= MOST_BITS
        gray = np.abs(pictures[one[near]] - pictures[other[near]]).mean(axis=(1, 2))
        alike[start + np.flatnonzero(near)] = gray <= MOST_GRAY
    return alike


def _are_images(inputs: np.ndarray) -> bool:
    shape = inputs.shape[1:]
    return len(shape) in (2, 3) and min(shape[:2]) >= 8 and shape[2:] in ((), (1,), (3,))


def _small(raw: Any) -> np.ndarray:
    """Return a gray thumbnail of 16 x 16 pixels, NaN if the image cannot be read."""
    try:
        if isinstance(raw, np.ndarray):
            pixels = raw if raw.ndim == 2 else raw.mean(axis=2)
            image = Image.fromarray(np.asarray(pixels, "float32"))
        else:
            image = Image.open(io.BytesIO(raw) if isinstance(raw, bytes) else str(raw))
            image.draft("L", (SIDE * 4, SIDE * 4))
            image = image.convert("L")
        small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
        gray = np.asarray(small, "float32")
        if isinstance(raw, np.ndarray) and raw.dtype != np.uint8 and raw.size:
            gray = gray * np.float32(255.0 / max(float(raw.max()), 1e-12))
        return gray
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return np.full((SIDE, SIDE), np.nan, "float32")


def _bits(picture: np.ndarray) -> np.ndarray:
    """Return sixteen bytes that tell where the gray value rises by more than noise."""
    coarse = np.asarray(Image.fromarray(picture).resize((9, 9), Image.Resampling.BOX))
    right = coarse[:8, 1:] > coarse[:8, :8] + 2
    down = coarse[1:, :8] > coarse[:8, :8] + 2
    return np.packbits(np.concatenate([right.ravel(), down.ravel()]))


def _difference_hashes(pictures: np.ndarray) -> np.ndarray:
    rows = [_bits(picture) for picture in pictures]
    # Hashes that differ in at most seven bits share one of the eight bands, others often do.
    return np.stack(rows).view("uint16").astype("int64")


def _shingles(text: str) -> frozenset[int]:
    plain = unicodedata.normalize("NFKD", text[:MOST_CHARACTERS]).casefold()
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    words = " ".join(re.findall(r"\w+", plain))
    codes = np.frombuffer(f" {words} ".encode("utf-8", "replace"), "uint8")
    codes = np.pad(codes, (0, max(0, SHINGLE - len(codes)))).astype("uint64")
    runs = np.lib.stride_tricks.sliding_window_view(codes, SHINGLE)
    return frozenset((runs << np.arange(0, 8 * SHINGLE, 8, dtype="uint64")).sum(axis=1).tolist())


def _min_hashes(shingled: Sequence[frozenset[int]], bands: int = 8, rows: int = 4) -> np.ndarray:
    random = np.random.default_rng(0)
    factors = random.integers(1, 2**63, bands * rows, dtype="uint64") | np.uint64(1)
    mixed = np.empty((len(shingled), bands * rows), "uint64")
    for row, shingles in enumerate(shingled):
        values = np.fromiter(shingles, "uint64", len(shingles))
        mixed[row] = ((values[:, None] * factors) >> np.uint64(16)).min(axis=0)
    joined = mixed.reshape(len(shingled), bands, rows)
    powers = np.array([1, 31, 961, 29791], "uint64")
    return (joined * powers).sum(axis=2).view("int64")
