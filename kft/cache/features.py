"""Cached features as the stages read them."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import numpy as np

from kft.cache.rows import RowReader


@dataclasses.dataclass(frozen=True)
class Features:
    """The outputs of a prefix for every example, in the order of the examples.

    Attributes:
        arrays: one array `[n, ...]` per cut tensor, read from disk as needed; `[views * n, ...]` with
            several views per example, one view after the other.
        computed: whether the prefix ran; False if the outputs of an earlier run are used.
        varies: for each array whether its sequences may be cut to a shorter length.
    """

    arrays: tuple[RowReader, ...]
    computed: bool
    varies: tuple[bool, ...]

    def load(
        self, indices: np.ndarray, length: int | None = None
    ) -> np.ndarray | tuple[np.ndarray, ...]:
        """Return the suffix's inputs for these examples.

        Args:
            indices: the indices of the examples.
            length: tokens to cut sequences to. Defaults to the stored length.
        """
        rows = tuple(
            _numbers(array[indices][:, :length] if varies else array[indices])
            for array, varies in zip(self.arrays, self.varies, strict=True)
        )
        return rows[0] if len(rows) == 1 else rows

    def close(self) -> None:
        """Close the files."""
        for array in self.arrays:
            array.close()


def _numbers(rows: np.ndarray) -> np.ndarray:
    """Convert rows to a type that every backend accepts from NumPy."""
    return np.asarray(rows, np.float32 if rows.dtype == ml_dtypes.bfloat16 else None)
