"""Small pictures of examples, embedded in the page."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from kft.data.clips.loading import load_clips
from kft.errors import InputError

SIDE = 224
STRIP = 4  # frames of a clip


def from_file(file: str | bytes) -> str | None:
    """Return a JPEG of at most 224 pixels a side as a `data:` URL; None if it is not a readable image.

    Args:
        file: The path of an image, or its encoded bytes.
    """
    try:
        with warnings.catch_warnings():
            # Warnings about the file were shown when it was read for training.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
                image.draft("RGB", (SIDE * 2, SIDE * 2))
                return _encode(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def from_array(array: np.ndarray) -> str | None:
    """Return a JPEG, as `from_file`, of pixels `[h, w]` or `[h, w, 1 or 3]` with white at 255 or their maximum."""
    pixels = np.asarray(array)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)) or 0 in pixels.shape:
        return None
    if pixels.dtype != np.uint8:
        # The range (up to 1, 16 or 255, or around 0) is unknown, but any scaling shows the shapes.
        pixels = np.nan_to_num(pixels.astype(np.float64))
        pixels = pixels - min(pixels.min(), 0.0)
        pixels = (pixels * (255 / (pixels.max() or 1.0))).astype(np.uint8)
    return _encode(Image.fromarray(pixels))


def from_clip(clip: Any) -> str | None:
    """Return a strip of frames of a clip side by side, as `from_file`; None if it cannot be read.

    Args:
        clip: The path of a clip, its content, its encoded frames, or pixels `[frames, h, w, 1 or 3]`.
    """
    try:
        frames = load_clips([clip], STRIP, (SIDE // 2, SIDE // 2))[0]
    except InputError:
        return None
    strip = Image.fromarray(np.concatenate(list(frames.astype(np.uint8)), axis=1))
    return _encode(strip, width=SIDE * STRIP)


def _encode(image: Image.Image, width: int = SIDE) -> str:
    if image.mode.startswith(("I", "F")):  # 16 bits and more, which Pillow would clip at 255
        pixels = np.asarray(image, dtype=np.float64)
        image = Image.fromarray((pixels * (255 / (pixels.max() or 1.0))).clip(0).astype(np.uint8))
    if image.mode in ("P", "PA", "LA", "RGBA", "RGBa", "La"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.thumbnail((width, SIDE))
    smallest = min(image.size)
    if (
        max(image.size) <= SIDE // 4 and smallest
    ):  # tiny images, such as 8-pixel digits: show the pixels
        factor = SIDE // max(image.size)
        image = image.resize(
            (image.width * factor, image.height * factor), Image.Resampling.NEAREST
        )
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
