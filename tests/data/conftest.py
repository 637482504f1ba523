"""Small images in all common formats, made with Pillow."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """Return a colourful RGB picture without symmetry, 40 pixels high and 56 wide."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 255, (5, 7, 3)), np.ones((8, 8, 1))).astype("uint8")
    return Image.fromarray(blocks).filter(ImageFilter.GaussianBlur(2))


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Return a function `encode(image, "PNG", **options)` that returns bytes."""

    def encode(image: Image.Image, form: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function: `image_folder({"cat": 3, "dog": 2})` writes a folder of distinct PNG files."""

    def write(counts: dict[str, int], name: str = "pets", seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for label, count in counts.items():
            (root / label).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = rng.integers(0, 255, (9, 12, 3), dtype="uint8")
                Image.fromarray(pixels).save(root / label / f"{number:03d}.png")
        return root

    return write
