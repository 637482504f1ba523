"""Sampling and checking of clips of any kind."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kft.data import images
from kft.data.clips import animations, video
from kft.data.clips.errors import BadClipError
from kft.data.clips.frames import FRAME_SUFFIXES, MOST_FRAMES, Resize, frame_files, middles
from kft.data.files import shown
from kft.data.image_files import MAX_PIXELS, inspect_files
from kft.data.threads import map_in_threads
from kft.regular_files import open_regular, why

__all__ = ["MOST_BYTES", "broken_clips", "check_clips", "inspect_clips", "largest_clip", "sampled"]

MOST_BYTES = 2**32  # of a file
_HEAD = 16  # bytes by which the type of a file is recognised
_STILLS = (b"\xff\xd8\xff", b"\x89PNG", b"BM")
_STILL_BRANDS = (b"avif", b"heic", b"heix", b"mif1")  # still images in an MP4 container
_STILL = "a still image, but a clip is expected: put the frames of each clip into a separate folder"
_LISTED = ", ".join(sorted(FRAME_SUFFIXES))


def largest_clip(max_pixels: int) -> int:
    """Return the maximum number of bytes of a clip's file, which `max_pixels` does not affect."""
    return MOST_BYTES


def sampled(clip: Any, count: int, max_pixels: int, resized: Resize = np.asarray) -> list[Any]:
    """Return the frames at the midpoints of equal segments of a clip; short clips repeat frames.

    Args:
        clip: The path of a video, a GIF or a folder of frames; the content of a video or GIF; a tuple
            of encoded frames; or pixels `[frames, height, width, ...]`.
        count: The number of frames.
        max_pixels: The largest frame to decode, width times height.
        resized: Resizes each frame of a video or GIF, uint8 `[height, width, 3]`. By default nothing is
            resized.

    Returns:
        `count` paths or contents of image files, resized frames, or the pixels of given frames.

    Raises:
        BadClipError: The clip cannot be used.
    """
    if isinstance(clip, str) and os.path.isdir(clip):
        return _every(list(map(str, _frames_of(clip))), count)
    if isinstance(clip, tuple | np.ndarray):
        if not len(clip):
            raise BadClipError("no frames")
        return _every(clip, count)
    with _opened(clip) as file:
        kind = _kind(file)
        if kind == "gif":
            return list(animations.sample(file, count, max_pixels, resized))
        return list(video.sample(file, kind, count, max_pixels, resized))


def check_clips(clips: Sequence[Any], max_pixels: int) -> dict[int, str]:
    """Decode every frame of clips once, and report the clips that cannot be used.

    Args:
        clips: Paths, contents of files, or tuples of encoded frames.
        max_pixels: The largest frame to accept, width times height.

    Returns:
        The reason for each unusable clip, by index.
    """
    found = _problems(clips, max_pixels, whole=True)
    return {index: reason for index, reason in enumerate(found) if reason}


def inspect_clips(clips: Sequence[Any], max_pixels: int) -> list[str | None]:
    """Check clips by the headers of their files alone; return a reason or None for each."""
    return [reason or None for reason in _problems(clips, max_pixels, whole=False)]


def broken_clips(clips: Sequence[Any]) -> dict[int, str]:
    """Return the reason for each clip that cannot be decoded, by index."""
    return check_clips(clips, MAX_PIXELS)


def _problems(clips: Sequence[Any], max_pixels: int, *, whole: bool) -> list[str]:
    """Return for each clip why it cannot be used, or an empty string."""

    def check(clip: Any) -> tuple[str, Sequence[Any]]:
        try:
            if isinstance(clip, tuple):
                return "" if clip else "no frames", clip
            if isinstance(clip, str) and os.path.isdir(clip):
                return "", list(map(str, _frames_of(clip)))
            with _opened(clip) as file:
                _check_file(file, max_pixels, whole)
        except BadClipError as error:
            return str(error), ()
        return "", ()

    # Pillow warns beyond its own limit. Filters are global to the process, so no thread sets them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = map_in_threads(check, clips)
    reasons = [reason for reason, _ in found]
    frames = [(place, frame) for place, (_, each) in enumerate(found) for frame in each]
    starts: dict[int, int] = {}
    for number, (place, _) in enumerate(frames):
        starts.setdefault(place, number)
    of_frames = _bad_frames([frame for _, frame in frames], max_pixels, whole)
    for number in sorted(of_frames, reverse=True):  # the first bad frame is written last, and stays
        place, frame = frames[number]
        name = shown(os.path.basename(frame)) if isinstance(frame, str) else ""
        reasons[place] = f"{name or f'frame {number - starts[place]}'}: {of_frames[number]}"
    return reasons


def _check_file(file: BinaryIO, max_pixels: int, whole: bool) -> None:
    kind = _kind(file)
    if kind == "gif":
        (animations.check if whole else animations.inspect)(file, max_pixels)
    else:
        (video.check if whole else video.inspect)(file, kind, max_pixels)


def _bad_frames(frames: Sequence[Any], max_pixels: int, whole: bool) -> dict[int, str]:
    """Return the reason for each frame that cannot be used, by its index among all clips' frames."""
    found: dict[int, str] = {}
    for kind in (str, bytes):
        places = [place for place, frame in enumerate(frames) if isinstance(frame, kind)]
        ours = [frames[place] for place in places]
        if not ours:
            continue
        if whole:
            reasons = images.check_images(ours, max_pixels)
        else:
            reasons = {n: why for n, why in enumerate(inspect_files(ours, max_pixels)) if why}
        found |= {places[number]: reason for number, reason in reasons.items()}
    return found


def _every(frames: Sequence[Any] | np.ndarray, count: int) -> list[Any]:
    return [frames[int(place)] for place in middles(0, len(frames), count)]


def _frames_of(folder: str) -> list[Path]:
    try:
        files = frame_files(folder)
    except OSError as error:
        raise BadClipError(f"a folder that {why(error)}") from error
    if not files:
        raise BadClipError(f"a folder without frames, that is, files that end in {_LISTED}")
    if len(files) > MOST_FRAMES:
        raise BadClipError(f"more than {MOST_FRAMES:,} frames: divide them into clips")
    return files


def _opened(clip: str | bytes) -> BinaryIO:
    if isinstance(clip, bytes):
        return io.BytesIO(clip)
    try:
        return open_regular(clip, MOST_BYTES)
    except OSError as error:
        raise BadClipError(why(error)) from error
    except ValueError as error:  # a NUL character in the name
        raise BadClipError("no such file") from error


def _kind(file: BinaryIO) -> str:
    """Return the type of a file by its first bytes: `"gif"`, or one of `video.CONTAINERS`."""
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith(b"GIF8"):
        return "gif"
    if head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS:
        raise BadClipError(_STILL)
    for container, marks in video.CONTAINERS.items():
        if any(head[place:].startswith(mark) for place, mark in marks):
            return container
    if not head:
        raise BadClipError("empty file")
    is_webp = head.startswith(b"RIFF") and head[8:].startswith(b"WEBP")
    if head.startswith(_STILLS) or is_webp:
        raise BadClipError(_STILL)
    raise BadClipError(
        "not a clip: MP4, MOV, AVI, WebM, MKV or GIF, or a folder of frames, is expected"
    )
