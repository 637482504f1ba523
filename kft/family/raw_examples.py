"""Raw inputs in the form of an export: encoded images, texts, or the encoded frames of clips."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.data.examples import Examples

if TYPE_CHECKING:
    from kft.family.hooks import Family

RAW_EXAMPLES = "examples.json"
Raw = str | bytes | tuple[bytes, ...]


def raw_examples(recipe: Family, examples: Examples, count: int = 4) -> list[Raw]:
    """Return a few raw inputs in the form of an export, for its warmup and its check."""
    if isinstance(examples.inputs, dict):
        return []  # an export takes one input
    return recipe.encoded(examples.inputs[:count])


def as_encoded(image: Any) -> bytes:
    """Return an image, passed as a path, file content or pixels, as the content of a file."""
    if isinstance(image, np.ndarray):
        return as_png(image)
    return image if isinstance(image, bytes) else Path(image).read_bytes()


def as_png(image: Any) -> bytes:
    """Return pixels `[h, w]` or `[h, w, 1 or 3]` as a PNG file."""
    from PIL import Image

    pixels = np.clip(np.rint(np.asarray(image)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(file, "PNG")
    return file.getvalue()
