"""The choice of frames to sample from a clip, and the frames in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from kft.data.image_files import IMAGE_SUFFIXES

__all__ = [
    "CLIP_SUFFIXES",
    "FRAME_SUFFIXES",
    "MOST_FRAMES",
    "Resize",
    "frame_files",
    "holds_frames",
    "middles",
    "shown_at",
]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv"})
CLIP_SUFFIXES = VIDEO_SUFFIXES | {".gif"}
FRAME_SUFFIXES = IMAGE_SUFFIXES - {".gif"}
MOST_FRAMES = 36_000  # per clip: 20 minutes at 30 frames per second
Resize = Callable[[np.ndarray], np.ndarray]
T = TypeVar("T")


def middles(start: float, end: float, count: int) -> np.ndarray:
    """Return the midpoints of `count` equal segments from `start` to `end`."""
    return start + (np.arange(count) + 0.5) / count * (end - start)


def shown_at(timed: Iterable[tuple[float, T]], moments: np.ndarray) -> Iterator[T]:
    """Yield the frame shown at each moment: the latest that has begun, or else the first.

    There is one frame for each moment, so that short clips repeat frames.

    Args:
        timed: Pairs of a frame's start time, ascending, and the frame.
        moments: Times in ascending order.
    """
    waiting = list(moments)
    last: list[T] = []
    for time, frame in timed:
        while last and waiting and waiting[0] < time:
            waiting.pop(0)
            yield last[0]
        if not waiting:
            return
        last = [frame]
    for _ in waiting if last else ():
        yield last[0]


def frame_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the images directly in a folder in natural order: `2.jpg` before `10.jpg`.

    Raises:
        OSError: The folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_frame(entry.name)]
    return [Path(folder, name) for name in sorted(names, key=_natural)]


def is_frame(name: str) -> bool:
    """Return whether a file of this name is a frame of its folder."""
    return name[0] != "." and os.path.splitext(name)[1].lower() in FRAME_SUFFIXES


def holds_frames(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder directly contains images, which makes it a clip."""
    try:
        with os.scandir(folder) as entries:
            return any(is_frame(entry.name) for entry in entries)
    except OSError:
        return False  # reading the folder will report why


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    numbered = [
        (int(part), "") if part[0].isascii() and part.isdigit() else (-1, part) for part in parts
    ]
    return numbered, name
