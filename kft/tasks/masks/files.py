"""Masks in PNG files, which are read per batch, so that they need not fit in memory."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from kft.arguments import shown
from kft.data.exif import read_orientation
from kft.data.image_files import MAX_PIXELS, inspect_file
from kft.data.threads import map_in_threads
from kft.errors import InputError
from kft.regular_files import open_regular, read_regular, why
from kft.tasks.masks.stored import IGNORED, StoredMask

__all__ = ["Ignored", "MaskFile", "check_size", "numbered", "sizes_of"]

_MOST_BYTES = 2**28
_BIT_DEPTH = 24  # the offset of the bit depth in a PNG file

Colour = tuple[int, int, int]
Ignored = int | Colour


@dataclass(frozen=True)
class MaskFile(StoredMask):
    """A PNG file with a class for each pixel.

    Args:
        path: The file.
        colors: The colour of each class, by class name, in order; None if pixels are class numbers.
        ignored: The class number or colour of ignored pixels.
    """

    colors: Mapping[str, Colour] | None = None
    ignored: Ignored = IGNORED

    def of_size(self, size: tuple[int, int] | None) -> np.ndarray:
        """Return the class numbers; a wrong size is detected from the header, before decoding."""
        name = f"its mask {os.path.basename(self.path)}"
        reason = inspect_file(self.path, MAX_PIXELS)
        if reason:
            raise InputError(f"{name} is unusable: {reason}")
        try:
            content = read_regular(self.path, _MOST_BYTES)
            image = Image.open(io.BytesIO(content))
            if image.format == "PNG":
                check_size(_upright_size(image), size)
                turns = _orientation(image)
                image.load()
        except InputError:
            raise
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            is_of_system = isinstance(error, OSError) and error.strerror
            problem = why(error) if is_of_system else f"broken image ({error})"  # type: ignore[arg-type]
            raise InputError(f"{name}: {problem}") from error
        if image.format != "PNG":
            raise InputError(
                f"{name} is a {image.format} image, whose compression may change classes: convert it "
                "to PNG"
            )
        return _turned(self._numbered(image, content), turns)

    def _numbered(self, image: Image.Image, content: bytes) -> np.ndarray:
        is_gray = image.mode in ("1", "L", "P") or image.mode.startswith("I")
        if self.colors is not None:
            if image.mode.startswith("I"):
                raise InputError(
                    "a mask of 16 bits, but colours have 8: leave `colors` out for class numbers, or "
                    "convert it"
                )
            return _of_colours(np.asarray(image.convert("RGB")), self.colors, self.ignored)
        if not is_gray:
            raise InputError(
                f"a mask of mode {image.mode}, but class numbers have one channel: pass "
                'colors={"road": (128, 64, 128), ...} for a mask of colours'
            )
        values = np.asarray(image)
        if image.mode == "L":  # Pillow scales gray values of 2 and 4 bits to 0 to 255
            values = values // {2: 85, 4: 17}.get(content[_BIT_DEPTH], 1)
        return numbered(values, self.ignored)


def numbered(values: np.ndarray, ignored: Ignored = IGNORED) -> np.ndarray:
    """Return class numbers as uint8, with 255 for ignored pixels.

    Args:
        values: Whole numbers of any type.
        ignored: The number of ignored pixels; with a colour, none are ignored.

    Raises:
        InputError: If a number is below 0, or above 254 and not ignored.
    """
    skipped = values == ignored if isinstance(ignored, int) else np.zeros(values.shape, bool)
    counted = np.where(skipped, 0, values)
    low, high = (int(counted.min()), int(counted.max())) if counted.size else (0, 0)
    if low < 0 or high >= IGNORED:
        raise InputError(
            f"class number {shown(low if low < 0 else high)}, but classes are numbered from 0 to 254: "
            "choose other numbers, or pass ignore=... for one that is to be left out"
        )
    return np.where(skipped, IGNORED, counted).astype(np.uint8)


def check_size(mask: tuple[int, int], image: tuple[int, int] | None) -> None:
    """Raise an error if a mask's height and width differ from its image's, if those are known."""
    if image is not None and image != mask:
        raise InputError(
            f"its mask is {mask[1]} x {mask[0]} pixels, but the image {image[1]} x {image[0]}, upright as "
            "its EXIF orientation says: make them equal"
        )


def sizes_of(images: Sequence[Any] | np.ndarray) -> list[tuple[int, int] | None]:
    """Return the height and width of each image when upright; None if it cannot be read.

    Args:
        images: Paths, encoded bytes, Pillow images or arrays.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large images and broken EXIF
        return map_in_threads(_size_of, images)


def _size_of(image: Any) -> tuple[int, int] | None:
    if not isinstance(image, str | os.PathLike | bytes | Image.Image):
        shape = np.shape(image)
        return (shape[0], shape[1]) if len(shape) in (2, 3) else None
    if isinstance(image, Image.Image):
        return _upright_size(image)
    try:
        file = io.BytesIO(image) if isinstance(image, bytes) else open_regular(image, _MOST_BYTES)
        with file, Image.open(file) as opened:
            return _upright_size(opened)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None  # reading the image itself reports the reason


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if _orientation(image) >= 5 else (height, width)


def _orientation(image: Image.Image) -> int:
    return read_orientation(image.info.get("exif") or b"")


def _turned(mask: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a mask upright, as `kft.data.exif.turn` turns its image."""
    mask = mask.T if orientation >= 5 else mask
    down = -1 if orientation in (3, 4, 7, 8) else 1
    right = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(mask[::down, ::right])


def _of_colours(pixels: np.ndarray, colors: Mapping[str, Colour], ignored: Ignored) -> np.ndarray:
    """Return the class number of each pixel's colour."""
    table = {int(_code(np.array(color))): number for number, color in enumerate(colors.values())}
    if not isinstance(ignored, int):
        table[int(_code(np.array(ignored)))] = IGNORED
    known = np.array(sorted(table), np.int32)
    numbers = np.array([table[code] for code in known.tolist()], np.uint8)
    codes = _code(pixels)
    places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    strange = codes[known[places] != codes]
    if strange.size:
        color = tuple(int(strange[0]) >> shift & 255 for shift in (16, 8, 0))
        raise InputError(
            f"the colour {color}, which no class has: add it to `colors`, or pass ignore={color}"
        )
    return numbers[places]


def _code(pixels: np.ndarray) -> np.ndarray:
    wide = pixels.astype(np.int32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
