"""The estimate whether caching a stage's frozen features saves time."""

from __future__ import annotations

import dataclasses
import math
import shutil

from kft.cache.cut import Cut
from kft.cache.dtypes import stored_as
from kft.cache.speed import Speed, existing
from kft.cache.store import FeatureStore

# Operations saved per byte moved: below the first, caching loses time even on a slow processor with
# the fastest disk; above the second, it saves time even on the fastest accelerator with a network drive.
_NEVER, _ALWAYS = 1.0, 1e7


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost and savings of caching one stage's features.

    Attributes:
        size: bytes on disk, None if not known in advance.
        saved: multiplications and additions of the prefix that need not be repeated.
        moved: bytes written and read, None if not known in advance.
        fits: whether the features fit in half of the free disk space.
    """

    size: int | None
    saved: int
    moved: int | None
    fits: bool

    def __str__(self) -> str:
        size = "size unknown"
        if self.size is not None:
            size = f"{self.size / 1e6:,.0f} MB" if self.size >= 1e6 else "less than 1 MB"
        saved = f"{_counted(self.saved)} multiplications and additions" if self.saved else "nothing"
        return f"{size}, saves {saved}"

    @property
    def gain(self) -> float:
        """Operations saved per byte moved."""
        if not self.saved:
            return 0.0
        return self.saved / self.moved if self.moved else math.inf

    @property
    def is_clear(self) -> bool:
        """Whether the answer is the same on every machine."""
        return not _NEVER <= self.gain <= _ALWAYS

    def pays(self, speed: Speed) -> bool:
        """Return whether computing would take longer than writing and reading.

        Args:
            speed: the speed of the machine; ignored if the cost `is_clear`.
        """
        return self.gain > (_NEVER if self.is_clear else speed.balance)


def estimate(
    cut: Cut, examples: int, epochs: int, store: FeatureStore, length: int | None = None
) -> Cost:
    """Estimate the cost and savings of caching a stage's features.

    Args:
        cut: the stage's cut.
        examples: number of examples, validation included.
        epochs: the maximum number of epochs of the stage.
        store: the store, with its directory and dtype.
        length: length at which sequences are stored, if the model does not fix it.
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
    """Format a large number in words, such as `59.3 billion`."""
    for unit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= unit:
            value = number / unit
            return f"{value:,.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return f"{number:,}"
