"""Drawing of boxes on images."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from kft.regular_files import open_regular

__all__ = ["Drawn", "drawn", "opened"]

_MOST_BYTES = 2**28
_LETTER = 10  # height of a line of text, in pixels


@dataclass(frozen=True)
class Drawn:
    """A box to draw.

    Args:
        box: Left, top, right and bottom as fractions of the image.
        colour: Its colour.
        text: The text at its upper left corner. Defaults to none.
        is_bold: Whether it is drawn with a thick line. Defaults to False.
    """

    box: Sequence[float]
    colour: tuple[int, int, int]
    text: str = ""
    is_bold: bool = False


def opened(image: Any, side: int | None = None) -> Image.Image | None:
    """Return an upright RGB image; None if it cannot be read.

    Args:
        image: A path, encoded bytes, a Pillow image, or pixels `[height, width]` or `[height, width, 1
            or 3]` with values from 0 to 255.
        side: Shrink the image until no side is longer. Defaults to its own size.
    """
    try:
        if isinstance(image, str | os.PathLike):
            with open_regular(image, _MOST_BYTES) as file:
                image = file.read()
        found = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
        if not isinstance(found, Image.Image):
            pixels = np.clip(
                np.squeeze(np.asarray(found), -1) if np.shape(found)[-1] == 1 else found, 0, 255
            )
            found = Image.fromarray(np.asarray(pixels).astype(np.uint8))
        if side is not None:
            found.draft("RGB", (side, side))
        found = ImageOps.exif_transpose(found).convert("RGB")
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, Image.DecompressionBombError):
        return None
    if side is not None:
        found.thumbnail((side, side))
    return found


def drawn(image: Image.Image, boxes: Sequence[Drawn]) -> Image.Image:
    """Return a copy of an image with boxes drawn on it, the last box on top."""
    found = image.copy()
    pen, (width, height) = ImageDraw.Draw(found), found.size
    thin = max(1, round(min(width, height) / 200))
    for one in boxes:
        left, top, right, bottom = (
            float(part) * end for part, end in zip(one.box, (width, height) * 2, strict=True)
        )
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(corners, outline=one.colour, width=thin * (3 if one.is_bold else 1))
        if one.text:
            at = (left + 2 * thin, max(0.0, top - _LETTER - 2))
            text = "".join(letter if letter.isascii() else "?" for letter in one.text)
            pen.rectangle(pen.textbbox(at, text), fill=one.colour)
            pen.text(at, text, fill=(255, 255, 255))
    return found
