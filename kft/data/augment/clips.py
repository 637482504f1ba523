"""Augment clips by an augmentation of images: the frames of a clip all move in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.data.augment.images import ImageAugmentation

__all__ = ["ClipAugmentation"]


class ClipAugmentation:
    """Runs an `ImageAugmentation` over the first frames of all clips, then over their second ones, ...

    It draws from the seed alone, so that it draws for each frame of a clip what it drew for the first.

    Args:
        images: The augmentation.

    Attributes:
        soft_targets: Whether targets are mixed, so that they must be one-hot rows.
    """

    def __init__(self, images: ImageAugmentation) -> None:
        self.images = images
        self.soft_targets = images.soft_targets

    def __repr__(self) -> str:
        return f"<ClipAugmentation by {self.images!r}>"

    def describe(self) -> str:
        """Everything besides the seed that affects what it does, the same in every process."""
        return f"clips {self.images.describe()}"

    def __call__(self, x: Any, y: Any, seed: Sequence[int]) -> tuple[Any, Any]:
        """Augment a batch.

        Args:
            x: Clips `[n, frames, h, w, 3]`, 0 to 255.
            y: Targets, as for `ImageAugmentation`.
            seed: Numbers that decide everything.

        Returns:
            `(x, y)`: float32 clips of the same size, targets as they were or mixed.
        """
        found = [self.images(x[:, place], y, seed) for place in range(x.shape[1])]
        return np.stack([frames for frames, _ in found], axis=1), found[0][1]
