"""Corruptions of images at five severities, after ImageNet-C."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageFilter

ORIGINAL_SIDE = 224  # pixels for which ImageNet-C's blurs were chosen


def corrupt(images: np.ndarray, name: str, severity: int, seed: Sequence[int]) -> np.ndarray:
    """Corrupt images.

    Args:
        images: `(n, height, width, 3)`, 0 to 255.
        name: A key of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Seed, and the position of the first image in the data; each image has its own random
            numbers, whatever batch it is in.

    Returns:
        Float32 images of the same shape, 0 to 255.
    """
    function, strengths = CORRUPTIONS[name]
    first, kind = seed[-1], zlib.crc32(name.encode())
    found = [
        function(
            image / 255.0,
            strengths[severity - 1],
            np.random.default_rng([*seed[:-1], kind, severity, first + place]),
        )
        for place, image in enumerate(images)
    ]
    return (np.clip(np.stack(found), 0, 1) * 255).astype("float32")


def _gaussian_noise(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return image + random.normal(scale=strength, size=image.shape)


def _shot_noise(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return random.poisson(image * strength) / strength


def _impulse_noise(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    hit = random.random(image.shape) < strength
    return np.where(hit, random.integers(0, 2, image.shape), image)


def _blur(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    radius = strength * min(image.shape[:2]) / ORIGINAL_SIDE
    return _array(_picture(image).filter(ImageFilter.GaussianBlur(radius)))


def _pixelate(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    small = (max(1, round(width * strength)), max(1, round(height * strength)))
    small_picture = _picture(image).resize(small, Image.Resampling.BOX)
    return _array(small_picture.resize((width, height), Image.Resampling.NEAREST))


def _jpeg(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    _picture(image).save(file, "JPEG", quality=int(strength))
    return _array(Image.open(file))


def _brightness(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    value = image.max(axis=-1, keepdims=True)  # the V of HSV
    brighter = np.minimum(value + strength, 1)
    return np.where(value > 0, image * brighter / np.maximum(value, 1e-6), brighter)


def _contrast(image: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * strength + mean


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype("uint8"))


def _array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), "float64") / 255.0


Corruption = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

# The strengths are those of ImageNet-C, for values from 0 to 1 and blurs at 224 pixels.
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": (_shot_noise, (60, 25, 12, 5, 3)),
    "impulse_noise": (_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "blur": (_blur, (1, 2, 3, 4, 6)),
    "pixelate": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg": (_jpeg, (25, 18, 15, 10, 7)),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
}
