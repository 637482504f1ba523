"""Frames of animated GIFs, decoded by Pillow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from kft.data.clips.errors import BadClipError
from kft.data.clips.frames import MOST_FRAMES, Resize, middles, shown_at

__all__ = ["check", "inspect", "sample"]

# Of all frames together: a small file can declare any number of large frames.
_MOST_PIXELS = 2**32
_USUAL = 0.1  # seconds of a frame without a duration, as in browsers


def sample(file: BinaryIO, count: int, max_pixels: int, resized: Resize) -> list[np.ndarray]:
    """Return the frames shown at the midpoints of equal segments of a GIF.

    Args:
        file: The open file.
        count: The number of frames.
        max_pixels: The largest frame to decode, width times height.
        resized: Resizes a frame uint8 `[height, width, 3]`, so that one large frame is held at a time.

    Returns:
        The resized frames.

    Raises:
        BadClipError: The GIF cannot be decoded, or is too large.
    """
    with _opened(file, max_pixels) as image:
        times = [time for time, _ in _timed(image, max_pixels)]
        end = times[-1] + _seconds(image)
        image.seek(0)
        # Pillow holds one frame at a time, so each is converted while it is current.
        shown = set(shown_at(zip(times, range(len(times)), strict=True), middles(0.0, end, count)))
        made = {
            number: resized(np.asarray(image.convert("RGB")))
            for number, _ in enumerate(_timed(image, max_pixels, max(shown) + 1))
            if number in shown
        }
        wanted = shown_at(zip(times, range(len(times)), strict=True), middles(0.0, end, count))
        return [made[number] for number in wanted]


def check(file: BinaryIO, max_pixels: int) -> None:
    """Decode each frame of a GIF once; the arguments and errors are those of `sample`."""
    with _opened(file, max_pixels) as image:
        for _ in _timed(image, max_pixels):
            image.load()


def inspect(file: BinaryIO, max_pixels: int) -> None:
    """Check only the header of a GIF; the arguments and errors are those of `sample`."""
    with _opened(file, max_pixels):
        pass


@contextlib.contextmanager
def _opened(file: BinaryIO, max_pixels: int) -> Iterator[Any]:
    from PIL import Image

    try:
        with Image.open(file, formats=["GIF"]) as image:
            _check_size(image, max_pixels)
            yield image
    except BadClipError:
        raise
    except Image.DecompressionBombError as error:
        raise BadClipError(f"more than the {max_pixels:,} pixels of max_pixels") from error
    except Image.UnidentifiedImageError as error:  # its message shows a Python object
        raise BadClipError("cannot be decoded (no GIF behind its first bytes)") from error
    except Exception as error:  # Pillow may raise anything for a truncated or damaged file
        detail = str(error) or type(error).__name__
        raise BadClipError(f"cannot be decoded ({detail})") from error


def _timed(image: Any, max_pixels: int, most: int = MOST_FRAMES) -> Iterator[tuple[float, int]]:
    """Yield each frame's start in seconds and its number, while it is the current frame."""
    time, pixels = 0.0, 0
    for number in range(most):
        try:
            image.seek(number)
        except EOFError:
            return
        pixels += _check_size(image, max_pixels)  # a later frame may be larger
        if pixels > _MOST_PIXELS:
            raise BadClipError(
                f"more than {_MOST_PIXELS:,} pixels in all frames: cut it into clips, or make it smaller"
            )
        yield time, number
        time += _seconds(image)
    if most == MOST_FRAMES:
        raise BadClipError(f"more than {MOST_FRAMES:,} frames: cut it into clips")


def _check_size(image: Any, max_pixels: int) -> int:
    """Return the number of pixels of a frame after checking that it is not too large."""
    width, height = image.size
    if width * height > max_pixels:
        raise BadClipError(f"frames of {width} x {height} pixels where max_pixels={max_pixels:,}")
    return int(width * height)


def _seconds(image: Any) -> float:
    """Return how long the current frame is shown, in seconds."""
    return float(image.info.get("duration") or 0) / 1000 or _USUAL
