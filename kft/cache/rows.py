"""Arrays in files that are written and read by rows, with a checksum for each row."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from kft.data.threads import map_in_threads

_MOST = 16 * 2**20  # largest array, in bytes, that a process holds in memory
_PART = 2**20  # bytes to verify at a time
_NO_RESERVING = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


class RowWriter:
    """A writer of an `.npy` file whose rows may come in any order, with a checksum of each row.

    A checksum is the first 64 bits of the SHA-256 of a row's index and bytes, computed in memory.
    Thanks to instructions of current processors, SHA-256 is the fastest hash of Python's standard
    library after CRC-32, whose 32 bits are too few for a large file.

    Args:
        path: The file, which must not exist yet.
        shape: The array's shape, rows first.
        dtype: The type to store, which may be `bfloat16`.

    Raises:
        OSError: The disk has no room for the whole array.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape, self.dtype = tuple(int(size) for size in shape), np.dtype(dtype)
        self._stored = _stored(self.dtype)
        self._size = int(np.prod(self.shape[1:])) * self._stored.itemsize
        self._sums = np.zeros(self.shape[0], "<u8")
        self._file: BinaryIO = open(path, "xb", buffering=0)  # noqa: SIM115
        try:
            self._start = self._file.write(_header(self.shape, self._stored))
            _reserve(self._file, self._start + self._size * self.shape[0])
        except BaseException:
            self.close()
            raise

    def write(self, places: np.ndarray, rows: np.ndarray) -> None:
        """Write rows.

        Args:
            places: Their indices in the array.
            rows: The rows; shorter ones are padded with zeros.
        """
        stored = np.asarray(rows, self.dtype).view(self._stored)
        given, own = stored.shape[1:], self.shape[1:]
        if given[1:] != own[1:] or given[:1] > own[:1]:
            raise ValueError(f"rows of the shape {given} do not fit into an array {self.shape}")
        for place, row in zip(places.tolist(), stored, strict=True):
            content = row.tobytes()
            content += bytes(self._size - len(content))
            self._sums[place] = _checksum(place, content)
            _write_at(self._file.fileno(), content, self._start + place * self._size)

    def finish(self) -> np.ndarray:
        """Flush everything to disk and return the rows' checksums."""
        os.fsync(self._file.fileno())
        return self._sums

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RowReader:
    """A reader of the rows of a file that `RowWriter` wrote.

    An array of up to 16 MiB is read into memory. From a larger one only the requested rows are
    read, which takes some microseconds per row; the operating system caches the file as memory
    allows.

    Args:
        path: The file.
        shape: The array's shape.
        dtype: The type of its numbers.

    Attributes:
        identity: A tuple that changes when the file is modified or replaced.

    Raises:
        ValueError: The file does not hold an array of this shape and type.
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path, self.shape, self.dtype = path, tuple(shape), np.dtype(dtype)
        self._stored = _stored(self.dtype)
        self._size = int(np.prod(self.shape[1:])) * self._stored.itemsize
        self._content: np.ndarray | None = None
        self._file: BinaryIO = open(path, "rb", buffering=0, opener=open_nonblocking)  # noqa: SIM115
        try:
            header = _header(self.shape, self._stored)
            if self._file.read(len(header)) != header:
                raise ValueError(
                    f"{path} does not begin like an array {self.shape} of {self.dtype}"
                )
            self._start = len(header)
            found = os.fstat(self._file.fileno())
            if found.st_size != self._start + len(self) * self._size:
                raise ValueError(f"{path} has {found.st_size} bytes, not those of {len(self)} rows")
            self.identity = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
            if len(self) * self._size <= _MOST:
                content = np.empty(self.shape, self._stored)
                self._fill(_bytes(content), 0)
                self._content = content
        except BaseException:
            self.close()
            raise
        if self._content is not None:
            self.close()

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def is_in_memory(self) -> bool:
        """Whether all rows are in memory, so that changes of the file no longer matter."""
        return self._content is not None

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of the rows with these indices, which count from 0.

        Raises:
            OSError: The file was truncated.
        """
        if self._content is not None:
            return self._content[rows].view(self.dtype)
        found = np.empty((len(rows), *self.shape[1:]), self._stored)
        view = _bytes(found)
        for place, row in enumerate(rows.tolist()):
            self._fill(view[place * self._size : (place + 1) * self._size], row)
        return found.view(self.dtype)

    def count_damaged(self, checksums: np.ndarray) -> int:
        """Read all rows and return the number of damaged ones.

        Args:
            checksums: The checksums that `RowWriter.finish` returned.

        Raises:
            OSError: The file cannot be read.
        """
        per_part = max(1, _PART // max(self._size, 1))

        def damaged(first: int) -> int:
            expected = checksums[first : first + per_part].tolist()
            content = memoryview(bytearray(len(expected) * self._size))
            self._fill(content, first)
            parts = (content[at * self._size : (at + 1) * self._size] for at in range(per_part))
            return sum(
                _checksum(first + at, part) != known
                for at, (part, known) in enumerate(zip(parts, expected, strict=False))
            )

        return sum(map_in_threads(damaged, range(0, len(self), per_part)))

    def close(self) -> None:
        """Close the file; rows that are in memory can still be read."""
        self._file.close()

    def _fill(self, buffer: memoryview, row: int) -> None:
        """Fill a buffer with the bytes from a row on."""
        start = row * self._size
        if self._content is not None:
            content = _bytes(self._content)
            buffer[:] = content[start : start + len(buffer)]
            return
        while buffer:
            count = os.preadv(self._file.fileno(), [buffer], self._start + start)
            if not count:
                raise OSError(f"row {row} of {len(self)} could not be read: {self.path} is shorter")
            buffer, start = buffer[count:], start + count


def open_nonblocking(path: str, flags: int) -> int:
    """Open a file without blocking, even if a pipe has taken its place."""
    return os.open(path, flags | os.O_NONBLOCK)


def _header(shape: tuple[int, ...], stored: np.dtype) -> bytes:
    """Return the header of an `.npy` file, version 1.0."""
    file = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(stored)
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def _stored(dtype: np.dtype) -> np.dtype:
    """Return the type to store: `.npy` has no bfloat16, whose bits are stored as integers."""
    return np.dtype(np.uint16) if dtype == ml_dtypes.bfloat16 else dtype


def _bytes(array: np.ndarray) -> memoryview:
    """Return the memory of a contiguous array."""
    flat: Any = array.reshape(-1)
    return memoryview(flat).cast("B")


def _checksum(place: int, row: bytes | memoryview) -> int:
    digest = hashlib.sha256(place.to_bytes(8, "little"), usedforsecurity=False)
    digest.update(row)
    return int.from_bytes(digest.digest()[:8], "little")


def _write_at(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def _reserve(file: BinaryIO, size: int) -> None:
    """Allocate the whole file, so that a full disk fails now and not after an hour."""
    try:
        if size and hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size)
            return
    except OSError as error:
        if error.errno not in _NO_RESERVING:
            raise
    file.truncate(size)
