"""The words of long texts, which a model takes in overlapping pieces, joined again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kft.data.parts import Piece, as_piece, text_numbers

__all__ = ["JoinedPieces", "Words", "own_rows", "own_words"]


@dataclass(frozen=True)
class Words:
    """Words of a text, in order.

    Attributes:
        tags: The number of the true tag of each, `[m]`.
        scores: Probabilities of the tags, `[m, tags]`.
        places: The bytes at which they start and end, `[m, 2]`.
    """

    tags: np.ndarray
    scores: np.ndarray
    places: np.ndarray


class JoinedPieces:
    """Keeps the words of pieces until all those of their text have come, in any order.

    Args:
        texts: Texts and pieces of longer ones, in succession.

    Attributes:
        numbers: The number of the text of each, counted from 0.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.numbers = text_numbers(texts)
        self._counts = np.bincount(self.numbers)
        self._offsets = [as_piece(text).offset for text in texts]
        self._waiting: dict[int, dict[int, Words]] = {}

    def is_piece(self, rows: np.ndarray) -> np.ndarray:
        """Return whether texts are pieces of longer ones, booleans `[n]`.

        Args:
            rows: Their positions, `[n]`.
        """
        return self._counts[self.numbers[rows]] > 1

    def add(self, row: int, words: Words) -> tuple[int, Words] | None:
        """Add a piece; return its text once it is complete: its number, and its words.

        Args:
            row: The position of the piece.
            words: The words that are its own, with places in the piece.
        """
        number = int(self.numbers[row])
        waiting = self._waiting.setdefault(number, {})
        waiting[row] = Words(words.tags, words.scores, words.places + self._offsets[row])
        if len(waiting) < self._counts[number]:
            return None
        return number, _joined(self._waiting.pop(number))

    def rest(self) -> Iterator[tuple[int, Words]]:
        """Return the texts of which pieces are missing."""
        while self._waiting:
            number, waiting = self._waiting.popitem()
            yield number, _joined(waiting)


def own_rows(row: np.ndarray, piece: Piece) -> np.ndarray:
    """Return the rows of the words that belong to a piece, with places in it.

    Args:
        row: The first byte and the tag of each word of the whole text, `[m, 2]`.
        piece: The piece.
    """
    own = row[(piece.own[0] <= row[:, 0]) & (row[:, 0] < piece.own[1])]
    return own - np.array([piece.offset, 0], own.dtype)


def own_words(text: str, starts: np.ndarray) -> np.ndarray:
    """Return which words belong to a piece, booleans of the shape of `starts`.

    Args:
        text: A text, or a piece of one.
        starts: The bytes at which words start in it.
    """
    piece = as_piece(text)
    at = starts + piece.offset
    return (piece.own[0] <= at) & (at < piece.own[1])


def _joined(pieces: dict[int, Words]) -> Words:
    """Return the words of all pieces of a text, given by their positions."""
    parts = [pieces[row] for row in sorted(pieces)]
    return Words(
        np.concatenate([one.tags for one in parts]),
        np.concatenate([one.scores for one in parts]),
        np.concatenate([one.places for one in parts]),
    )
