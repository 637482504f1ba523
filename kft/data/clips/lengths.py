"""How many bytes a video says that it has, so that one that was cut off is told from a short one.

An MP4 file lists its frames instead. Layouts: EBML (RFC 8794, 4.4 and 5) with Matroska's segment (RFC
9559, 5.1), and RIFF.
"""

from __future__ import annotations

import os
from typing import BinaryIO

__all__ = ["missing_bytes"]

_HEAD = 1024  # the header of Matroska is shorter
_SEGMENT = b"\x18\x53\x80\x67"
_SPARE = 8  # bytes that writers of AVI forget to count


def missing_bytes(file: BinaryIO, container: str) -> str:
    """Say how much of a file is there, if that is less than it says itself; empty if it is whole.

    Args:
        file: The file, opened; its place is kept.
        container: One of `kft.data.clips.video.CONTAINERS`.
    """
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(place)
    told = {"avi": _of_riff, "matroska": _of_matroska}.get(container, lambda head: 0)(head)
    return f"{size:,} of {told:,} bytes are there" if size + _SPARE < told else ""


def _of_riff(head: bytes) -> int:
    """The bytes of a first chunk; 0 where a recorder did not come back to write them."""
    size = int.from_bytes(head[4:8], "little")
    return 0 if size in (0, 2**32 - 1) else 8 + size


def _of_matroska(head: bytes) -> int:
    """The bytes up to the end of the segment; 0 where it has no size, as of a live stream."""
    size, place = _number(head, 4)
    place += size
    if head[place : place + 4] != _SEGMENT:
        return 0
    size, place = _number(head, place + 4)
    return place + size if size else 0


def _number(head: bytes, place: int) -> tuple[int, int]:
    """A size of 1 to 8 bytes, 0 for an unknown one, and the place behind it."""
    first = head[place] if place < len(head) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(head[place : place + length], "big") & (1 << 7 * length) - 1
    return 0 if value == (1 << 7 * length) - 1 else value, place + length
