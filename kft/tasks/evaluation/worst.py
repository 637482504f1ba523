"""Selection of the worst few of many rows, block by block."""

from __future__ import annotations

import numpy as np


class Worst:
    """Keep the rows with the largest sizes, ties in the order of the data.

    Args:
        limit: The number of rows to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[np.ndarray] = []

    def add(self, positions: np.ndarray, sizes: np.ndarray, *more: np.ndarray) -> None:
        """Add rows.

        Args:
            positions: Their positions in the data, `(n,)`.
            sizes: Their sizes, `(n,)`; the largest is the worst.
            more: Further arrays to keep, `(n, ...)`.
        """
        given = [positions, sizes, *more]
        if self._kept:
            given = [np.concatenate(pair) for pair in zip(self._kept, given, strict=True)]
        order = np.lexsort((given[0], -given[1]))[: self._limit]
        self._kept = [one[order] for one in given]

    def rows(self) -> list[tuple]:
        """Return position, size and further values of each row, the worst first."""
        return list(zip(*self._kept, strict=True))
