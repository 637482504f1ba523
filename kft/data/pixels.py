"""Images in memory: their kinds, and checks of their shape and range."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from kft.data.image_files import MAX_PIXELS
from kft.data.sequences import Rows, numeric
from kft.data.values import is_missing, kind_of
from kft.errors import InputError

__all__ = [
    "check_images_in_memory",
    "check_range",
    "check_shape",
    "image_rows",
    "is_encoded",
    "is_pillow",
    "out_of_range",
    "range_rules",
]

_AT_ONCE = 64  # images per chunk of the range check: a memmap may be larger than memory
_SPARE = 0.5  # tolerance for the overshoot of resizing, whose rounding or cubic splines exceed 255
_ROUNDING = 0.01
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")


def image_rows(
    rows: Rows, name: str, max_pixels: int = MAX_PIXELS
) -> tuple[str, Rows, dict[int, str]]:
    """Determine the form of images, and convert each to it.

    Args:
        rows: Paths, encoded images, Pillow images, or arrays.
        name: The name of the images in messages.
        max_pixels: The largest Pillow image to accept, width times height.

    Returns:
        `(kind, images, reasons)`: the kind of `Examples`; paths as strings, encoded images as
        `bytes`, all others as one array `[n, ...]` or as a list of arrays if shapes differ; and
        reasons for unusable images by index.

    Raises:
        InputError: They have none of these forms, or several.
    """
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "S":
        _refuse_cut_bytes(rows, name)
        rows = rows.tolist()
    if len(rows) and _kind(rows[0]) not in ("path", "encoded image"):
        array = numeric(rows)
        if array is not None:
            _check_mixed(rows, name)
            return "arrays", array, {}
    reasons: dict[int, str] = {}
    images: list[Any] = []
    kinds: dict[str, int] = {}
    for index, value in enumerate(rows):
        kind = _kind(value)
        image, reason = _converted(value, kind, max_pixels)
        images.append(image)
        if reason:
            reasons[index] = reason
        if image is not None:
            kinds.setdefault(kind, index)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise InputError(
            f"{name}[{first}] is {_with_article(one)} and {name}[{second}] {_with_article(other)}: "
            "pass images of one kind"
        )
    if not kinds:
        is_plain = isinstance(rows, np.ndarray) and rows.dtype != object
        raise InputError(
            f"{name} has dtype {rows.dtype}, but images are numbers"  # type: ignore[union-attr]
            if is_plain
            else f"{name} has no usable image; the first is {reasons[0]}"
        )
    kind = next(iter(kinds))
    if kind in ("path", "encoded image"):
        return ("image_files" if kind == "path" else "image_bytes"), images, reasons
    _check_mixed([image for image in images if image is not None], name)
    shapes = {image.shape for image in images if image is not None}
    if len(shapes) > 1:
        return "arrays", images, reasons
    blank = np.zeros(next(iter(shapes)), np.uint8)
    return "arrays", np.stack([blank if image is None else image for image in images]), reasons


def check_images_in_memory(images: Rows, source: str) -> None:
    """Check that arrays have the shape of images and values from 0 to 255.

    Args:
        images: One array `[n, ...]`, or a list of arrays that differ in shape.
        source: The name of the images in messages.

    Raises:
        InputError: They are a single image, or have other axes, channels or values.
    """
    if isinstance(images, np.ndarray) and images.dtype != object:
        check_shape(images.shape)
        check_range((images[n : n + _AT_ONCE] for n in range(0, len(images), _AT_ONCE)), source)
    else:
        for image in images:
            check_shape((1, *np.shape(image)))
        check_range(images, source)


def check_shape(shape: Sequence[int | None]) -> None:
    """Check that a shape is one of images: `[n, h, w]` or `[n, h, w, c]`, with 1, 3 or 4 channels.

    Args:
        shape: The shape; None for an axis of unknown length.

    Raises:
        InputError: It is not; the message explains how to convert the array.
    """
    shape = tuple(shape)
    if len(shape) == 3 and shape[-1] in (1, 3, 4):
        raise InputError(
            f"an array of shape {shape} is one image, but an array of images is [n, height, width, "
            "channels]: pass image[None]"
        )
    if len(shape) == 4 and shape[-1] not in (1, 3, 4, None) and shape[1] in (1, 3, 4):
        raise InputError(
            f"images of shape {shape} have their channels first, but [n, height, width, channels] "
            "is expected: move them, for example by np.moveaxis(images, 1, -1)"
        )
    if not (len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3, 4, None))):
        raise InputError(
            f"images of shape {shape}, but an array of images is [n, height, width] or [n, height, "
            "width, channels] with 1, 3 or 4 channels: add the missing axis"
        )
    if 0 in shape[1:]:
        raise InputError(f"images of shape {shape} have no pixels: leave them out")


def check_range(parts: Iterable[Any], source: str) -> None:
    """Check that pixels range from 0 to 255, and not from 0 to 1.

    Args:
        parts: Arrays of pixels, whose common range counts.
        source: The name of the images in messages.

    Raises:
        InputError: They have another range.
    """
    low, high, kind = np.inf, -np.inf, "u"
    for part in parts:
        if part.dtype == np.uint8 or not part.size:
            continue
        # `fmin` and `fmax` ignore NaN, which is reported elsewhere.
        low = min(low, float(np.fmin.reduce(part, axis=None)))
        high = max(high, float(np.fmax.reduce(part, axis=None)))
        kind = part.dtype.kind
    if low <= high:
        way_out = range_problem(low, high, kind)
        if way_out:
            raise InputError(out_of_range(f"{low:.3g}", f"{high:.3g}", source, way_out))


def range_problem(low: float, high: float, kind: str) -> str:
    """Return the way out for pixels from `low` to `high`; empty if their range is right.

    Args:
        low: The smallest value.
        high: The largest value.
        kind: The kind of their dtype, as NumPy names it.
    """
    return next((way_out for test, way_out in range_rules(kind) if test(low, high)), "")


def range_rules(kind: str) -> list[tuple[Callable[[Any, Any], Any], str]]:
    """Return tests for wrong ranges of pixels, each with its way out.

    The tests take the smallest and the largest value, as numbers or as tensors in a graph.

    Args:
        kind: The kind of their dtype, as NumPy names it: integers may all be 0 or 1.
    """
    rules: list[tuple[Callable[[Any, Any], Any], str]] = [
        (lambda low, high: high > 255 + _SPARE, "divide 16-bit values by 257, clip others to 255"),
        (lambda low, high: low < -_SPARE, "undo the scaling, the model scales; clip overshoots"),
    ]
    if kind in "fb":
        unit = "undo the scaling, the model scales; multiply by 255"
        rules.insert(0, (lambda low, high: (high > 0) & (high <= 1 + _ROUNDING), unit))
    return rules


def out_of_range(low: str, high: str, source: str, way_out: str) -> str:
    """Return the message for pixels from `low` to `high`."""
    return f"images of {source} have values from {low} to {high}, but 0 to 255 are expected: {way_out}."


def _kind(value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return "path"
    if is_encoded(value):
        return "encoded image"
    if is_pillow(value):
        return "Pillow image"
    return "array"


def _converted(value: Any, kind: str, max_pixels: int) -> tuple[Any, str]:
    """Return one image in its stored form, or None and why it cannot be used."""
    if is_missing(value):
        return None, "no image"
    if kind == "path":
        return str.__str__(os.fsdecode(value)), ""  # the value of a string enumeration
    if kind == "encoded image":
        return bytes(value), ""
    if kind == "Pillow image":
        return _of_pillow(value, max_pixels)
    array = numeric([value])
    return (
        (None, f"{kind_of(value)}, but an image is expected") if array is None else (array[0], "")
    )


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "ae" else f"a {kind}"


def is_encoded(value: Any) -> bool:
    """Return whether a value is the bytes of an encoded image, as opposed to pixels."""
    if isinstance(value, memoryview):
        return value.ndim == 1 and value.format == "B"
    return isinstance(value, bytes | bytearray)


def is_pillow(value: Any) -> bool:
    """Return whether a value is a Pillow image, without importing Pillow."""
    return hasattr(value, "mode") and hasattr(value, "getbands") and hasattr(value, "convert")


def _of_pillow(image: Any, max_pixels: int) -> tuple[Any, str]:
    """Return a Pillow image as pixels, rotated by its EXIF orientation like a decoded file."""
    from PIL import ImageOps

    width, height = image.size
    if width * height > max_pixels:
        return None, f"gigantic image, {width} x {height} pixels where max_pixels={max_pixels:,}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns when it drops a palette's transparency
            image = ImageOps.exif_transpose(image)
            if image.mode in _MODES:
                return np.asarray(image.convert("RGB")), ""
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        return None, f"a Pillow image that cannot be read ({error})"
    if image.mode.startswith("I;16"):
        pixels = (pixels >> 8).astype(np.uint8)
    elif image.mode not in ("I", "F"):
        return None, f"a Pillow image of mode {image.mode}: convert it to RGB first"
    return np.repeat(pixels[..., None], 3, axis=-1), ""


def _check_mixed(images: Rows, name: str) -> None:
    """Check float images that are mixed with integer ones, whose larger values would hide a range to 1."""
    if isinstance(images, np.ndarray) and images.dtype != object:
        return
    is_float = ["float" in str(getattr(image, "dtype", "")) for image in images]
    if any(is_float) and not all(is_float):
        floats = (image for image, one in zip(images, is_float, strict=True) if one)
        check_range((array for image in floats if (array := numeric([image])) is not None), name)


def _refuse_cut_bytes(rows: np.ndarray, name: str) -> None:
    if rows.ndim != 1:
        raise InputError(f"{name} has dtype {rows.dtype}, but images are numbers")
    if any(row[:1] in (b"\xff", b"\x89", b"R", b"B", b"G") and len(row) > 64 for row in rows[:1]):
        raise InputError(
            f"{name} has dtype {rows.dtype}, which drops zero bytes at the end of encoded images: "
            "pass a list, or an array of dtype object"
        )
