"""Raw inputs as an export takes them: encoded images or texts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from kft.data.examples import Examples
from kft.family.hooks import Family

RAW_EXAMPLES = "examples.json"


def raw_examples(examples: Examples, count: int = 4) -> list[str | bytes]:
    """A few raw inputs, encoded images or texts, for the warmup and the check of an export."""
    if isinstance(examples.inputs, dict):
        return []  # an export takes one input
    chosen = list(examples.inputs[:count])
    if examples.kind == "image_files":
        return [Path(path).read_bytes() for path in chosen]
    if examples.kind == "arrays":
        return [_as_png(image) for image in chosen]
    return chosen


def encoded(recipe: Family, raw: Any) -> list[str | bytes]:
    """Raw inputs as an export takes them: encoded images or texts.

    Args:
        recipe: The recipe, which checks them.
        raw: As for `Recipe.predict`.
    """
    inputs = recipe.raw_inputs(raw)
    if recipe.modality != "image":
        return list(inputs)
    return [_as_encoded(image) for image in inputs]


def _as_encoded(image):
    if isinstance(image, np.ndarray):
        return _as_png(image)
    return image if isinstance(image, bytes) else Path(image).read_bytes()


def _as_png(image):
    from PIL import Image

    pixels = np.clip(np.rint(np.asarray(image)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(file, "PNG")
    return file.getvalue()
