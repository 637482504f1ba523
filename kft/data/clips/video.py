"""Frames of video files, decoded by FFmpeg through PyAV (https://pyav.basswood-io.com)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from kft.data.clips.errors import BadClipError
from kft.data.clips.frames import MOST_FRAMES, Resize, middles, shown_at
from kft.data.clips.lengths import missing_bytes
from kft.errors import InputError

__all__ = ["CONTAINERS", "check", "inspect", "sample"]

CONTAINERS = {  # FFmpeg's name of a container: offset and value of the bytes that identify it
    "mp4": ((4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free"), (4, b"skip")),
    "matroska": ((0, b"\x1a\x45\xdf\xa3"),),
    "avi": ((8, b"AVI "),),
}


def sample(
    file: BinaryIO, container: str, count: int, max_pixels: int, resized: Resize
) -> list[np.ndarray]:
    """Return the frames shown at the midpoints of equal segments of a video.

    Args:
        file: The open file.
        container: One of `CONTAINERS`.
        count: The number of frames.
        max_pixels: The largest frame to decode, width times height.
        resized: Resizes a frame uint8 `[height, width, 3]`, so that one large frame is held at a time.

    Returns:
        The resized frames.

    Raises:
        BadClipError: The video cannot be decoded, or is too large.
        InputError: PyAV is not installed.
    """
    with _opened(file, container, max_pixels) as (source, stream):
        start, end = _span(source, stream, container)
        source.seek(0, backward=True)
        found = shown_at(_decoded(source, stream, start, max_pixels), middles(start, end, count))
        frames: list[np.ndarray] = []
        last = None
        for frame in found:  # repeated frames are converted once
            is_last = frame is last
            frames.append(frames[-1] if is_last else resized(frame.to_ndarray(format="rgb24")))
            last = frame
        return frames


def check(file: BinaryIO, container: str, max_pixels: int) -> None:
    """Decode each frame of a video once; the arguments and errors are those of `sample`."""
    with _opened(file, container, max_pixels) as (source, stream):
        start, _ = _span(source, stream, container)
        source.seek(0, backward=True)
        for _ in _decoded(source, stream, start, max_pixels):
            pass


def inspect(file: BinaryIO, container: str, max_pixels: int) -> None:
    """Check only the header of a video; the arguments and errors are those of `sample`."""
    with _opened(file, container, max_pixels):
        pass


def pyav() -> Any:
    """Import and return PyAV.

    Raises:
        InputError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise InputError(
            "video files are decoded by PyAV, which is not installed: pip install 'kft[video]', or pass "
            "animated GIFs or folders of frames"
        ) from error
    return av


@contextlib.contextmanager
def _opened(file: BinaryIO, container: str, max_pixels: int) -> Iterator[tuple[Any, Any]]:
    """Open a container and its first video stream for decoding."""
    av = pyav()
    missing = missing_bytes(file, container)
    if missing:
        raise BadClipError(f"cut off: {missing}")
    try:
        # The format is fixed, since FFmpeg also opens playlists of other files and addresses as videos.
        with av.open(file, format=container, metadata_errors="ignore") as source:
            if not source.streams.video:
                raise BadClipError("no video in it")
            stream = source.streams.video[0]
            context = stream.codec_context
            if context is None:
                raise BadClipError("encoded in a way that this FFmpeg cannot decode")
            _check_size(context.width, context.height, max_pixels)
            context.thread_count = 1  # several clips are decoded at the same time
            yield source, stream
    except (av.FFmpegError, EOFError) as error:
        message = getattr(error, "strerror", None) or type(error).__name__
        raise BadClipError(f"cannot be decoded ({message})") from error


def _span(source: Any, stream: Any, container: str) -> tuple[float, float]:
    """Return the start of the first frame and the end of the last in seconds, without decoding."""
    times: list[float] = []
    last = 0.0
    for packet in source.demux(stream):
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None or not packet.size:  # the end of the stream
            continue
        times.append(float(stamp * packet.time_base))
        last = max(last, times[-1] + float((packet.duration or 0) * packet.time_base))
        if len(times) > MOST_FRAMES:
            raise BadClipError(f"more than {MOST_FRAMES:,} frames: cut it into clips")
    if not times:
        raise BadClipError("no frames")
    # In other containers this number counts repeated frames, or is missing.
    if container == "mp4" and stream.frames > len(times):
        raise BadClipError(f"cut off: {len(times):,} of {stream.frames:,} frames are there")
    start, end = min(times), max(times)
    usual = (end - start) / (len(times) - 1) if len(times) > 1 else 1.0
    return start, last if last > end else end + usual


def _decoded(
    source: Any, stream: Any, start: float, max_pixels: int
) -> Iterator[tuple[float, Any]]:
    """Yield the start time of each frame and the frame, in the order in which they are shown."""
    time, number = start, -1
    for number, frame in enumerate(source.decode(stream)):
        if number > MOST_FRAMES:
            raise BadClipError(f"more than {MOST_FRAMES:,} frames: cut it into clips")
        _check_size(frame.width, frame.height, max_pixels)
        if frame.is_corrupt:
            raise BadClipError(f"a damaged frame after {number:,} others")
        time = time if frame.time is None else max(time, frame.time)
        yield time, frame
    if number < 0:
        raise BadClipError("no frames that are shown")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadClipError(f"frames of {width} x {height} pixels where max_pixels={max_pixels:,}")
