"""The worst few of many rows, found block by block."""

from __future__ import annotations

import numpy as np


class Worst:
    """Keep the rows with the largest size, the first of equals first.

    Args:
        limit: How many rows to keep.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[np.ndarray] = []

    def add(self, positions: np.ndarray, sizes: np.ndarray, *more: np.ndarray) -> None:
        """Add rows.

        Args:
            positions: Their positions in the data, `(n,)`.
            sizes: How bad each is, `(n,)`.
            more: What else to keep of each, `(n, ...)`.
        """
        given = [positions, sizes, *more]
        if self._kept:
            given = [np.concatenate(pair) for pair in zip(self._kept, given, strict=True)]
        order = np.lexsort((given[0], -given[1]))[: self._limit]
        self._kept = [one[order] for one in given]

    def rows(self) -> list[tuple]:
        """Return position, size and what else was kept of each row, the worst first."""
        return list(zip(*self._kept, strict=True))
