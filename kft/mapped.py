"""Arrays in files larger than the memory, of which a process holds a bounded part."""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

_MOST = 16 * 2**20  # bytes of one array in the process' memory


class MappedArray:
    """An array in an `.npy` file, whose rows are read and written in place.

    A file of up to 16 MiB is mapped into the memory. Rows of a larger one are read one by one, which
    takes twice as long, some microseconds a row, and leaves nothing behind; what was written leaves
    the process' memory after each 16 MiB. All of it stays in the operating system's cache, which
    gives way to whoever needs memory.

    Args:
        path: the file, in version 1.0 of NumPy's format.
        dtype: how to read the numbers, if not as the file says; of the same size.
        writable: whether rows may be set.

    Attributes:
        values: the whole array, as far as it is ever looked at.

    Raises:
        ValueError: the file is no such array, or is shorter than it says.
    """

    def __init__(self, path: Path, dtype: Any = None, writable: bool = False) -> None:
        with open(path, "r+b" if writable else "rb") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError(f"{path} is not in version 1.0 of NumPy's format")
            shape, in_columns, stored = np.lib.format.read_array_header_1_0(file)
            if in_columns or stored.hasobject:
                raise ValueError(f"{path} holds no rows of numbers")
            self._start = file.tell()
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(file.fileno(), 0, access=access)
            try:
                self._stored = np.ndarray(shape, stored, self._map, self._start)
            except TypeError as error:
                raise ValueError(f"{path} is shorter than it says") from error
            self._descriptor: int | None = None
            if self._stored.nbytes > _MOST and hasattr(os, "preadv"):
                self._descriptor = os.dup(file.fileno())
                weakref.finalize(self, os.close, self._descriptor)
        self.values = self._stored if dtype is None else self._stored.view(dtype)
        self._written = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape, the rows first."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the numbers."""
        return self.values.dtype

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """A copy of the rows with these indices, each from 0.

        Raises:
            OSError: the file has become shorter.
        """
        if self._descriptor is None:
            return self.values[rows]
        found = np.empty((len(rows), *self.shape[1:]), self._stored.dtype)
        size = self._stored[0].nbytes
        buffer: Any = found
        view = memoryview(buffer).cast("B")
        for place, row in enumerate(rows.tolist()):
            part = view[place * size : (place + 1) * size]
            if os.preadv(self._descriptor, [part], self._start + row * size) != size:
                raise OSError(f"Row {row} of {len(self)} in a file of features could not be read.")
        return found.view(self.dtype)

    def __setitem__(self, place: Any, rows: np.ndarray) -> None:
        """Writes rows at their indices, or at a part of each."""
        self.values[place] = rows
        self._written += rows.nbytes
        if self._written > _MOST and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)  # of a file: nothing written is lost
            self._written = 0

    def flush(self) -> None:
        """Hands all that was written to the operating system."""
        self._map.flush()
