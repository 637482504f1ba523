"""Masks that are read or painted per batch, with what their first reading found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from kft.data.content import content_digest

__all__ = ["IGNORED", "StoredMask"]

IGNORED = 255  # the class number of ignored pixels


@dataclass(frozen=True)
class StoredMask:
    """A mask that is not held in memory.

    Args:
        path: Its name in messages.
        content: Digest of the class numbers, after the first reading.
        pixels: The number of pixels of each class number up to the largest in use, after the first
            reading.
    """

    path: str
    content: bytes = field(default=b"", kw_only=True)
    pixels: tuple[int, ...] = field(default=(), kw_only=True)

    def read(self) -> np.ndarray:
        """Return the class numbers, uint8 `[height, width]`, 255 for ignored pixels.

        Raises:
            InputError: If the mask is invalid; the message says why, without the path.
        """
        return self.of_size(None)

    def looked_at(self, size: tuple[int, int] | None) -> Self:
        """Return a copy with `content` and `pixels`.

        Args:
            size: Height and width of its image, checked before the mask is decoded; None if they are not
                known.

        Raises:
            InputError: If the mask is invalid, or has another size.
        """
        mask = self.of_size(size)
        pixels = tuple(np.bincount(mask[mask != IGNORED]).tolist())
        return replace(self, content=content_digest(mask), pixels=pixels)

    def of_size(self, size: tuple[int, int] | None) -> np.ndarray:
        """Return the class numbers, and raise an error unless the mask has this size, if it is known."""
        raise NotImplementedError
