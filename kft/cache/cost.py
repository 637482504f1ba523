"""Whether a stage's frozen features are worth keeping: an estimate in seconds."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

from kft.cache.cut import Cut

_OPERATIONS_A_SECOND = 20e9  # what two cores of a laptop reach in convolutions
_BYTES_A_SECOND = 300e6  # writing to, and reading from, an ordinary disk


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a cache of one stage's features would take and save.

    Attributes:
        size: bytes on disk, None if it cannot be told beforehand.
        saved: multiplications and additions of the prefix that need not be repeated.
        pays: whether less time is lost in reading and writing than saved in computing.
        fits: whether the disk has room, half of what is free being left alone.
    """

    size: int | None
    saved: int
    pays: bool
    fits: bool

    def __str__(self) -> str:
        size = "size unknown"
        if self.size is not None:
            size = f"{self.size / 1e6:,.0f} MB" if self.size >= 1e6 else "less than 1 MB"
        return f"{size}, saves {_counted(self.saved)} multiplications and additions"


def estimate(
    cut: Cut,
    examples: int,
    epochs: int,
    directory: str | os.PathLike[str],
    length: int | None = None,
) -> Cost:
    """Estimates what keeping a stage's features is worth.

    Args:
        cut: the stage's cut.
        examples: number of examples, validation included.
        epochs: most epochs of the stage.
        directory: where the features would lie.
        length: length that sequences are kept at.
    """
    saved = cut.operations * examples * (epochs - 1)
    numbers = cut.numbers(length)
    if numbers is None:
        return Cost(None, saved, pays=saved > 0, fits=True)
    size = 4 * numbers * examples
    moved = size * (epochs + 1)
    free = shutil.disk_usage(_existing(Path(directory))).free
    pays = saved / _OPERATIONS_A_SECOND > moved / _BYTES_A_SECOND
    return Cost(size, saved, pays, fits=2 * size < free)


def _counted(number: int) -> str:
    """A large number in words: `59.3 billion`."""
    for unit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= unit:
            value = number / unit
            return f"{value:,.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return f"{number:,}"


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
