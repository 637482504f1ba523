"""How fast a machine computes frozen layers, and how fast it writes their outputs: measured, once."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import keras

from kft.cache.cut import Cut
from kft.cache.store import FeatureStore
from kft.distribution import hosts

_WRITTEN = 4 * 2**20  # bytes
_PART = 2**18  # bytes that are written at a time
_LONGEST = 0.25  # seconds after which no other part is written
_clock = time.perf_counter


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast a machine is at what a cache saves and at what it costs.

    Attributes:
        operations: multiplications and additions per second, in frozen layers.
        written: bytes per second, to where features lie.
    """

    operations: float
    written: float

    @property
    def balance(self) -> float:
        """The operations that take as long as it takes to write a byte."""
        return self.operations / self.written


# Two cores of a laptop in convolutions, and an ordinary disk.
LAPTOP = Speed(operations=20e9, written=300e6)


def measured(cut: Cut, store: FeatureStore, x: Any) -> Speed:
    """Time one batch through frozen layers, and a write of 4 MiB or as much as a quarter second takes.

    What is compiled for the batch is used again if the features are kept.

    Args:
        cut: where the model would be cut.
        store: where the features would be kept.
        x: inputs of the model, a batch `[n, ...]`.
    """
    with hosts.alone():  # other processes wait, and could not take part
        forward = store.forward((cut,))
        forward(x)  # compiles
        began = _clock()
        forward(x)
        seconds = _clock() - began
    count = len(keras.tree.flatten(x)[0])
    return Speed(cut.operations * count / seconds, _bytes_per_second(store.directory))


def _bytes_per_second(directory: Path) -> float:
    """Time a write to the disk; the file has no name, and nothing is left of it."""
    part, done = os.urandom(_PART), 0  # which no file system compresses
    try:
        with tempfile.TemporaryFile(dir=existing(directory), buffering=0) as file:
            began = _clock()
            while done < _WRITTEN and _clock() - began < _LONGEST:
                done += file.write(part)
            os.fsync(file.fileno())
            return done / (_clock() - began)
    except OSError:  # where nothing can be written the store says so, when it has to write
        return LAPTOP.written


def existing(path: Path) -> Path:
    """Return the directory itself, or the nearest one above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
