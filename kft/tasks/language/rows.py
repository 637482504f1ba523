"""Texts of any length, cut into rows of tokens that fit a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["TokenRows", "cut_rows"]


@dataclass(frozen=True)
class TokenRows:
    """Rows of tokens, with the tokens to predict.

    Attributes:
        tokens: The tokens of each row, int32 arrays in an object array `[n]`.
        targets: For each token, 1 if the next one counts, else 0; and a number of text bytes, which is
            that of the whole text at its first such token and 0 elsewhere; int32 arrays `[tokens, 2]`
            in an object array `[n]`.
        places: The index of each row's text, `[n]`.
    """

    tokens: np.ndarray
    targets: np.ndarray
    places: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens in each row, `[n]`."""
        return np.array([len(row) for row in self.tokens], np.int64)


def cut_rows(texts: Iterable[tuple[np.ndarray, np.ndarray, int]], length: int) -> TokenRows:
    """Cut texts into consecutive rows, so that each token that counts is predicted once.

    A row begins with the last token of the row before it. Rows in which no token counts are left out.

    Args:
        texts: The tokens of each text, int32 `[m]`; which of them count, booleans `[m]`; and the number
            of text bytes that count.
        length: Maximum number of tokens in a row.
    """
    tokens: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    places: list[int] = []
    for place, (ids, counted, size) in enumerate(texts):
        target = np.zeros((len(ids), 2), np.int32)
        target[:-1, 0] = counted[1:]
        target[target[:, 0].argmax(), 1] = size  # figures sum the bytes over whole texts
        for start in range(0, len(ids) - 1, length - 1):
            row = target[start : start + length].copy()
            row[length - 1 :] = 0  # predicted in the next row
            if row[:, 0].any():
                tokens.append(ids[start : start + length])
                targets.append(row)
                places.append(place)
    return TokenRows(_objects(tokens), _objects(targets), np.array(places, np.int64))


def _objects(rows: list[np.ndarray]) -> np.ndarray:
    found = np.empty(len(rows), object)
    found[:] = rows
    return found
