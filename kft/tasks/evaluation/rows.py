"""The rows from which exact figures are computed, in bounded memory."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

IN_MEMORY = 4 * 2**20  # bytes of rows that stay in memory
BLOCK = 2**20  # bytes to write and read at a time


class Rows:
    """Rows of numbers, added batch by batch; beyond 4 MiB they are moved to a temporary file.

    The file holds blocks of rows, each stored column by column, so that one column can be read
    without the others. It has no name in any directory, and its space is freed as soon as the object
    or the process is gone, however that ends.

    In addition to a block, the object needs 8 bytes of memory per row, and `column` another 16.

    Args:
        width: Numbers per row.
        most: The most bytes to keep in memory.

    Attributes:
        places: The positions of the rows in the data, in increasing order, after `finish`.
    """

    def __init__(self, width: int, most: int = IN_MEMORY) -> None:
        self.width, self.places = width, np.zeros(0, np.int64)
        self._most, self._count, self._bytes = most, 0, 0
        self._parts: list[np.ndarray] = []
        self._places: list[np.ndarray] = []
        self._file: BinaryIO | None = None
        self._order: np.ndarray | None = None  # of the rows in the file, if not that of `places`

    def __len__(self) -> int:
        return self._count

    def add(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Add rows.

        Args:
            rows: `(n, width)`, float32 or float64; in a file all have the type of the first ones.
            places: Their positions in the data, `(n,)`.
        """
        self._places.append(np.asarray(places, np.int64))
        self._count += len(rows)
        if self._file is not None:
            self._write(rows)
            return
        self._parts.append(rows)
        self._bytes += rows.nbytes
        if self._bytes > self._most:
            self._begin_file()

    def finish(self) -> None:
        """Sort the rows by their positions; no more can be added."""
        places = np.concatenate(self._places) if self._places else self.places
        self._places = []
        order = None
        if np.any(places[1:] <= places[:-1]):
            order = np.argsort(places, kind="stable")
            places = places[order]
        self.places = places
        places.setflags(write=False)
        if self._file is not None:
            self._order = order
        elif self._parts:
            whole = np.concatenate(self._parts).astype(np.float64)
            self._parts = [whole if order is None else whole[order]]

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read all rows once, in the fastest order.

        Yields:
            Indices into `places`, `(m,)`, and the float64 rows `(m, width)` there.
        """
        positions = np.arange(len(self))
        if self._order is not None:
            positions[self._order] = np.arange(len(self))
        if self._file is None:
            for part in self._parts:
                yield positions, part
            return
        for first in range(0, len(self), self._block_rows):
            rows = self._block(first // self._block_rows).T.astype(np.float64, order="C")
            yield positions[first : first + len(rows)], rows

    def column(self, index: int) -> np.ndarray:
        """Read one column, float64 `(n,)`, in the order of `places`."""
        if self._file is None:
            return self._parts[0][:, index]
        found = np.empty(len(self), np.float64)
        for first in range(0, len(self), self._block_rows):
            block = first // self._block_rows
            found[first : first + self._block_rows] = self._block(block, index)
        return found if self._order is None else found[self._order]

    def take(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Read rows, float64 `(m, width)`, by their indices into `places`."""
        wanted = np.asarray(positions, np.int64)
        if self._file is None:
            return self._parts[0][wanted]
        wanted = wanted if self._order is None else self._order[wanted]
        found = np.empty((len(wanted), self.width), np.float64)
        blocks, within = np.divmod(wanted, self._block_rows)
        for block in np.unique(blocks):
            chosen = blocks == block
            found[chosen] = self._block(int(block))[:, within[chosen]].T
        return found

    def read(self, columns: slice = slice(None)) -> np.ndarray:
        """Read columns of all rows into a read-only array `(n, m)`, in the order of `places`."""
        rows = self._parts[0] if self._file is None else self.take(np.arange(len(self)))
        found = np.array(rows[:, columns])
        found.setflags(write=False)
        return found

    def _begin_file(self) -> None:
        """Move the rows from memory to a file."""
        parts, self._parts = self._parts, []
        dtype = np.result_type(*parts)
        self._block_rows = max(1, BLOCK // (dtype.itemsize * self.width))
        self._buffer = np.empty((self.width, self._block_rows), dtype)
        self._filled = 0
        # Closed by a finalizer: a file that is only garbage-collected causes a warning.
        self._file = file = tempfile.TemporaryFile("w+b", prefix="kft-rows-")  # noqa: SIM115
        weakref.finalize(self, file.close)
        for part in parts:
            self._write(part)

    def _write(self, rows: np.ndarray) -> None:
        assert self._file is not None
        while len(rows):
            taken = rows[: self._block_rows - self._filled]
            self._buffer[:, self._filled : self._filled + len(taken)] = taken.T
            self._filled += len(taken)
            if self._filled == self._block_rows:
                self._file.write(self._buffer.data)
                self._filled = 0
            rows = rows[len(taken) :]

    def _block(self, block: int, column: int | None = None) -> np.ndarray:
        """Return a block as it is stored, `(width, rows)`, or one of its columns."""
        assert self._file is not None
        if (block + 1) * self._block_rows > len(self):  # the last block is still in memory
            rest = self._buffer[:, : self._filled]
            return rest if column is None else rest[column]
        shape = self._buffer.shape if column is None else self._buffer.shape[1:]
        found = np.empty(shape, self._buffer.dtype)
        start = block * self._buffer.nbytes
        self._file.seek(start + (0 if column is None else column * found.nbytes))
        if self._file.readinto(found) != found.nbytes:  # type: ignore[attr-defined]
            raise OSError("the temporary file of the evaluated rows has become shorter")
        return found

    def __reduce__(self) -> tuple:
        """Pickle the rows themselves, whether in memory or in a file."""
        return _restored, (self.width, self._most, self.take(np.arange(len(self))), self.places)


def _restored(width: int, most: int, rows: np.ndarray, places: np.ndarray) -> Rows:
    made = Rows(width, most)
    if len(rows):
        made.add(rows, places)
    made.finish()
    return made
