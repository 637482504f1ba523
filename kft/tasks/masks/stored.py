"""A mask that is made when a batch needs it, and what was seen of it when it was first looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from kft.data.content import content_digest

__all__ = ["IGNORED", "StoredMask"]

IGNORED = 255  # the class number of pixels that count nowhere


@dataclass(frozen=True)
class StoredMask:
    """A class for each pixel, somewhere else than in memory.

    Args:
        path: What to call it in a message.
        content: Digest of the class numbers, once they were read.
        pixels: How many pixels each class number has, up to the largest in use, once they were read.
    """

    path: str
    content: bytes = field(default=b"", kw_only=True)
    pixels: tuple[int, ...] = field(default=(), kw_only=True)

    def read(self) -> np.ndarray:
        """Return the class numbers, uint8 `[height, width]`, 255 for what is ignored.

        Raises:
            InputError: If it is no such mask; the message says why, without the file.
        """
        return self.of_size(None)

    def looked_at(self, size: tuple[int, int] | None) -> Self:
        """Return the same with content and pixels.

        Args:
            size: Height and width of its image, which a mask is compared with before it is decoded;
                None if they are not known.

        Raises:
            InputError: As `read`, and if the mask has another size.
        """
        mask = self.of_size(size)
        pixels = tuple(np.bincount(mask[mask != IGNORED]).tolist())
        return replace(self, content=content_digest(mask), pixels=pixels)

    def of_size(self, size: tuple[int, int] | None) -> np.ndarray:
        """Return the class numbers of a mask that has to have this height and width, if they are known."""
        raise NotImplementedError
