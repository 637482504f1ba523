"""The size that a video file declares, by which a truncated file is recognised.

MP4 files list their frames instead. Layouts: EBML (RFC 8794, 4.4 and 5) with Matroska's segment (RFC
9559, 5.1), and RIFF.
"""

from __future__ import annotations

import os
from typing import BinaryIO

__all__ = ["missing_bytes"]

_HEAD = 1024  # bytes, more than Matroska's header has
_SEGMENT = b"\x18\x53\x80\x67"
_SPARE = 8  # bytes that some AVI writers do not count


def missing_bytes(file: BinaryIO, container: str) -> str:
    """Return a message if a file is shorter than it declares, and an empty string if it is complete.

    Args:
        file: The open file, whose position is restored.
        container: One of `kft.data.clips.video.CONTAINERS`.
    """
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(place)
    declared = {"avi": _of_riff, "matroska": _of_matroska}.get(container, lambda head: 0)(head)
    return f"{size:,} of {declared:,} bytes are there" if size + _SPARE < declared else ""


def _of_riff(head: bytes) -> int:
    """Return the size of the first chunk, 0 if a recorder never filled it in."""
    size = int.from_bytes(head[4:8], "little")
    return 0 if size in (0, 2**32 - 1) else 8 + size


def _of_matroska(head: bytes) -> int:
    """Return the bytes up to the end of the segment, 0 if its size is unknown as in live streams."""
    size, place = _number(head, 4)
    place += size
    if head[place : place + 4] != _SEGMENT:
        return 0
    size, place = _number(head, place + 4)
    return place + size if size else 0


def _number(head: bytes, place: int) -> tuple[int, int]:
    """Read a size of 1 to 8 bytes; return it, 0 if unknown, and the offset after it."""
    first = head[place] if place < len(head) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(head[place : place + length], "big") & (1 << 7 * length) - 1
    return 0 if value == (1 << 7 * length) - 1 else value, place + length
