"""Augmentation of clips by an image augmentation that treats all frames of a clip alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.data.augment.images import ImageAugmentation

__all__ = ["ClipAugmentation"]


class ClipAugmentation:
    """An augmentation that applies an `ImageAugmentation` to the first frames of all clips, and so on.

    Since its randomness depends only on the seed, all frames of a clip are augmented alike.

    Args:
        images: The augmentation.

    Attributes:
        soft_targets: Whether targets are mixed, which requires one-hot rows.
    """

    def __init__(self, images: ImageAugmentation) -> None:
        self.images = images
        self.soft_targets = images.soft_targets

    def __repr__(self) -> str:
        return f"<ClipAugmentation by {self.images!r}>"

    def describe(self) -> str:
        """Return everything besides the seed that affects the result, equal in every process."""
        return f"clips {self.images.describe()}"

    def __call__(self, x: Any, y: Any, seed: Sequence[int]) -> tuple[Any, Any]:
        """Augment a batch.

        Args:
            x: Clips `[n, frames, h, w, 3]`, 0 to 255.
            y: Targets, as for `ImageAugmentation`.
            seed: Integers that seed the augmentation.

        Returns:
            `(x, y)`: float32 clips of the same size, targets unchanged or mixed.
        """
        found = [self.images(x[:, place], y, seed) for place in range(x.shape[1])]
        return np.stack([frames for frames, _ in found], axis=1), found[0][1]
