"""The measured speed of a machine in computing frozen layers and in writing their outputs."""

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
_PART = 2**18  # bytes per write
_LONGEST = 0.25  # seconds after which writing stops
_clock = time.perf_counter


@dataclasses.dataclass(frozen=True)
class Speed:
    """The speed of a machine in computing, which a cache saves, and in writing, which it costs.

    Attributes:
        operations: multiplications and additions per second in frozen layers.
        written: bytes per second written to the directory of the features.
    """

    operations: float
    written: float

    @property
    def balance(self) -> float:
        """The number of operations that take as long as writing one byte."""
        return self.operations / self.written


# Convolutions on two cores of a laptop, and an ordinary disk.
LAPTOP = Speed(operations=20e9, written=300e6)


def measured(cut: Cut, store: FeatureStore, x: Any) -> Speed:
    """Time one batch through frozen layers, and a write of 4 MiB or at most a quarter of a second.

    The function compiled for the batch is used again if the features are cached.

    Args:
        cut: where the model would be cut.
        store: where the features would be stored.
        x: inputs of the model, a batch `[n, ...]`.
    """
    with hosts.alone():  # the other processes wait and cannot take part in a computation
        forward = store.forward((cut,))
        forward(x)  # compiles
        began = _clock()
        forward(x)
        seconds = _clock() - began
    count = len(keras.tree.flatten(x)[0])
    return Speed(cut.operations * count / seconds, _bytes_per_second(store.directory))


def _bytes_per_second(directory: Path) -> float:
    """Time a write to the disk, in a temporary file."""
    part, done = os.urandom(_PART), 0  # random, so that no file system compresses it
    try:
        with tempfile.TemporaryFile(dir=existing(directory), buffering=0) as file:
            began = _clock()
            while done < _WRITTEN and _clock() - began < _LONGEST:
                done += file.write(part)
            os.fsync(file.fileno())
            return done / (_clock() - began)
    except OSError:  # the store will report the error when it writes
        return LAPTOP.written


def existing(path: Path) -> Path:
    """Return the path itself, or its nearest parent that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
