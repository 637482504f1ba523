"""Images without labels, in the forms that `predict` accepts."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from kft.data.files import shown
from kft.data.gaps import not_finite
from kft.data.image_files import IMAGE_SUFFIXES, MAX_PIXELS, OTHER_SUFFIXES, inspect_files
from kft.data.patterns import files_named
from kft.data.pixels import check_images_in_memory, image_rows, is_encoded, is_pillow
from kft.data.raw_texts import refuse_inputs
from kft.data.sequences import as_rows

__all__ = ["raw_images"]

_EXPECTED = (
    "Images are expected: paths of image files, encoded images (bytes), Pillow images, or arrays."
)


def raw_images(raw: Any, max_pixels: int = MAX_PIXELS) -> Any:
    """Return images in order, checked as far as possible without decoding.

    Args:
        raw: A path, an encoded image or a Pillow image, a list or column of these, a folder for all
            images below it, a pattern such as `"photos/**/*.jpg"`, or an array of images with values
            from 0 to 255.
        max_pixels: The largest image to accept, width times height.

    Returns:
        A list of paths, of `bytes` or of arrays, or one array.

    Raises:
        InputError: An image cannot be used, or an array has another shape or range.
    """
    files = files_named(raw, "image", IMAGE_SUFFIXES | OTHER_SUFFIXES)
    raw = raw if files is None else files
    single = isinstance(raw, str | os.PathLike) or is_encoded(raw) or is_pillow(raw)
    rows = as_rows([raw] if single else raw, "raw")
    if not len(rows):
        return rows
    kind, images, reasons = image_rows(rows, "raw", max_pixels)
    if kind == "arrays":
        for index, image in enumerate(images if isinstance(images, list) else ()):
            if image is not None and not_finite(image[None], ""):
                reasons[index] = "NaN or infinity"
        if isinstance(images, np.ndarray):
            reasons |= dict.fromkeys(not_finite(images, ""), "NaN or infinity")
        refuse_inputs(reasons)
        check_images_in_memory(images, "the input")
        return images
    usable = [index for index in range(len(images)) if index not in reasons]
    found = inspect_files([images[index] for index in usable], max_pixels)
    reasons |= {index: why for index, why in zip(usable, found, strict=True) if why}
    names = {index: shown(images[index]) for index in reasons if isinstance(images[index], str)}
    refuse_inputs(reasons, names, _EXPECTED)
    return images
