"""Whether a stage's frozen features are worth keeping."""

from __future__ import annotations

import dataclasses
import math
import shutil

from kft.cache.cut import Cut
from kft.cache.dtypes import stored_as
from kft.cache.speed import Speed, existing
from kft.cache.store import FeatureStore

# Saved operations for each byte moved: below the one number a slow processor and the fastest disk
# gain nothing, above the other the fastest accelerator and a slow network drive gain.
_NEVER, _ALWAYS = 1.0, 1e7


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a cache of one stage's features would take and save.

    Attributes:
        size: bytes on disk, None if it cannot be told beforehand.
        saved: multiplications and additions of the prefix that need not be repeated.
        moved: bytes written and read, None if they cannot be told beforehand.
        fits: whether the disk has room, half of what is free being left alone.
    """

    size: int | None
    saved: int
    moved: int | None
    fits: bool

    def __str__(self) -> str:
        size = "size unknown"
        if self.size is not None:
            size = f"{self.size / 1e6:,.0f} MB" if self.size >= 1e6 else "less than 1 MB"
        return f"{size}, saves {_counted(self.saved)} multiplications and additions"

    @property
    def gain(self) -> float:
        """Saved operations for each byte that is moved instead."""
        if not self.saved:
            return 0.0
        return self.saved / self.moved if self.moved else math.inf

    @property
    def is_clear(self) -> bool:
        """Whether it is the same on every machine whether this pays."""
        return not _NEVER <= self.gain <= _ALWAYS

    def pays(self, speed: Speed) -> bool:
        """Return whether less time is lost in writing and reading than saved in computing.

        Args:
            speed: how fast the machine is; of no interest where the cost `is_clear`.
        """
        return self.gain > (_NEVER if self.is_clear else speed.balance)


def estimate(
    cut: Cut, examples: int, epochs: int, store: FeatureStore, length: int | None = None
) -> Cost:
    """Estimate what keeping a stage's features would take and save.

    Args:
        cut: the stage's cut.
        examples: number of examples, validation included.
        epochs: most epochs of the stage.
        store: where the features would be kept, and as what.
        length: length that sequences are kept at.
    """
    saved = cut.operations * examples * (epochs - 1)
    numbers = cut.numbers(length)
    if numbers is None:
        return Cost(None, saved, None, fits=True)
    dtypes = [stored_as(tensor.dtype, store.dtype) for tensor in cut.prefix.outputs]
    row = sum(count * dtype.itemsize for count, dtype in zip(numbers, dtypes, strict=True))
    size = row * examples
    free = shutil.disk_usage(existing(store.directory)).free
    return Cost(size, saved, size * (epochs + 1), fits=2 * size < free)


def _counted(number: int) -> str:
    """A large number in words: `59.3 billion`."""
    for unit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= unit:
            value = number / unit
            return f"{value:,.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return f"{number:,}"
