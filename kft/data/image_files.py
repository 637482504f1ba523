"""Checks of image files by their headers, before anything decodes them."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

from kft.data.threads import map_in_threads
from kft.regular_files import open_regular, why

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "OTHER_SUFFIXES",
    "inspect_file",
    "inspect_files",
    "largest_file",
]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"})
# Of photographs in formats that are not read: among inputs to predict, they are bad ones.
OTHER_SUFFIXES = frozenset({".heic", ".heif", ".avif", ".jxl", ".tif", ".tiff"})
MAX_PIXELS = 50_000_000  # 50 megapixels are 600 MB as float32
# The largest file of an image: four channels of 16 bits per pixel, and metadata.
_BYTES_PER_PIXEL, _SPARE_BYTES = 8, 64 * 2**20
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP")
_EXPECTED = "JPEG, PNG, GIF, BMP or WebP is expected"
# Formats that Pillow does not read, by the brand of their container or by their first bytes.
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
    "HEIC",
)
_BEGINNINGS = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"<svg": "SVG",
}


def largest_file(max_pixels: int) -> int:
    """Return the maximum number of bytes of an image file with so many pixels."""
    return _BYTES_PER_PIXEL * max_pixels + _SPARE_BYTES


def inspect_file(path: str, max_pixels: int = MAX_PIXELS) -> str | None:
    """Check an image file by its header, without decoding its pixels.

    Args:
        path: The file.
        max_pixels: The largest image to accept, width times height.

    Returns:
        The reason why it cannot be used, or None.
    """
    return inspect_files([path], max_pixels)[0]


def inspect_files(files: Sequence[str | bytes], max_pixels: int = MAX_PIXELS) -> list[str | None]:
    """Check many files, given as paths or bytes, in parallel; see `inspect_file`."""
    # Pillow warns beyond its own limit and about damaged EXIF, which changes no pixel. Filters are
    # global to the process, so no thread sets them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return map_in_threads(lambda file: _inspect(file, max_pixels), files)


def _inspect(file: str | bytes, max_pixels: int) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        opened = (
            io.BytesIO(file)
            if isinstance(file, bytes)
            else open_regular(file, largest_file(max_pixels))
        )
    except (OSError, ValueError) as error:  # ValueError for a name with a NUL character
        return why(error) if isinstance(error, OSError) else "no such file"
    try:
        with opened:
            head = opened.read(34)
            if not head:
                return "empty file"
            opened.seek(0)
            with Image.open(opened) as image:
                return _judge(image, head, max_pixels)
    except Image.DecompressionBombError:
        return f"gigantic image, more than the {max_pixels:,} pixels of max_pixels"
    except UnidentifiedImageError:
        other = _other_format(head)
        return "not an image" if other is None else f"{other} image, but {_EXPECTED}"
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        return f"broken image ({error})"


def _judge(image: Any, head: bytes, max_pixels: int) -> str | None:
    width, height = image.size
    if image.format not in _FORMATS:
        return f"{image.format} image, but {_EXPECTED}"
    if width * height > max_pixels:
        return f"gigantic image, {width} x {height} pixels where max_pixels={max_pixels:,}"
    if image.format == "WEBP" and getattr(image, "is_animated", False):
        return "animated WebP, but a still image is expected"
    if image.format == "BMP":
        bits = int.from_bytes(head[28:30], "little")
        compression = int.from_bytes(head[30:34], "little")
        if bits not in (8, 24, 32) or (bits != 32 and compression):
            return f"BMP of {bits} bits or compressed, but 8, 24 or 32 plain bits are expected"
    return None


def _other_format(head: bytes) -> str | None:
    """Return the format of an image that Pillow cannot read, None if it is not known."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    return next((name for start, name in _BEGINNINGS.items() if head.startswith(start)), None)
