"""Generated clips for tests: files of all kinds, and moving squares."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from kft.recipe.clips import Clips
from kft.testing.families import TinyImages

CODECS = {"mp4": "libx264", "mov": "mpeg4", "avi": "mpeg4", "mkv": "libx264", "webm": "libvpx"}


@dataclass(kw_only=True, eq=False)
class TinyClips(Clips, TinyImages):
    """A recipe for clips of three frames of 16 x 16 pixels, with two convolutional blocks."""

    frames: int = 3


def gray_frames(count: int, size: int = 32) -> np.ndarray:
    """Return frames whose gray value is 16 times their number: uint8 `(count, size, size, 3)`."""
    levels = (np.arange(count, dtype=np.uint8) * 16)[:, None, None, None]
    return np.broadcast_to(levels, (count, size, size, 3)).copy()


def write_video(path: Path, frames: np.ndarray, times: list[float] | None = None) -> str:
    """Write frames as a video, ten per second or at the given times; return its path."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix[1:]], rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        ticks = 10 if path.suffix == ".avi" else 100  # ticks per second; AVI has one per frame
        stream.codec_context.time_base = Fraction(1, ticks)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.time_base = Fraction(1, ticks)
            frame.pts = round(ticks * (number / 10 if times is None else times[number]))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def gif(frames: np.ndarray, milliseconds: int | list[int] = 100) -> bytes:
    """Return frames as an animated GIF."""
    file = io.BytesIO()
    first, *others = map(Image.fromarray, frames)
    first.save(file, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
    return file.getvalue()


def write_folder(folder: Path, frames: np.ndarray) -> str:
    """Write frames as `1.png`, `2.png`, ... into a new folder; return its path."""
    folder.mkdir(parents=True)
    for number, pixels in enumerate(frames, start=1):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return str(folder)


def moving_squares(count: int, frames: int = 4, size: int = 16, seed: int = 0):
    """Return clips of a square that moves left or right, which only the order shows, as (x, y)."""
    random = np.random.default_rng(seed)
    clips = random.integers(0, 60, (count, frames, size, size, 3), dtype=np.uint8)
    places = np.linspace(0, size - 4, frames).astype(int)
    labels = np.arange(count) % 2
    for clip, label in zip(clips, labels, strict=True):
        row = random.integers(0, size - 4)
        for frame, place in zip(clip, places if label else places[::-1], strict=True):
            frame[row : row + 4, place : place + 4] = 255
    return clips, np.array(["left", "right"])[labels].tolist()
