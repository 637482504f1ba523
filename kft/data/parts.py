"""Inputs of several texts joined in one, such as a question on the first line and its context below."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

__all__ = [
    "SEPARATOR",
    "Piece",
    "as_piece",
    "first_pieces",
    "join_parts",
    "split_parts",
    "text_numbers",
]

SEPARATOR = "\n"


class Piece(str):
    """A text whose last part is a piece of the last part of a longer text.

    Args:
        text: The text for the model.
        whole: The longer text.
        offset: The byte of the longer last part at which the piece begins. Defaults to 0.
        own: The bytes of the longer last part that are nearer to the middle of this piece than of the
            pieces that it overlaps with: the first one, and the one after the last. Defaults to all.
    """

    whole: str
    offset: int
    own: tuple[int, int]

    def __new__(
        cls, text: str, whole: str, offset: int = 0, own: tuple[int, int] = (0, sys.maxsize)
    ) -> Self:
        """Create the text with its origin."""
        made = super().__new__(cls, text)
        made.whole, made.offset, made.own = whole, offset, own
        return made

    def __getnewargs__(self) -> tuple[str, str, int, tuple[int, int]]:  # type: ignore[override]
        return str(self), self.whole, self.offset, self.own


def join_parts(parts: Iterable[str]) -> str:
    """Join texts by line breaks; line breaks inside all but the last become spaces."""
    *first, last = parts
    return SEPARATOR.join([*(one.replace(SEPARATOR, " ") for one in first), last])


def split_parts(text: bytes, count: int) -> list[bytes]:
    """Split a joined text into its parts; missing ones are empty.

    Args:
        text: The result of `join_parts` in UTF-8.
        count: The number of parts.
    """
    parts = text.split(SEPARATOR.encode(), count - 1)
    return parts + [b""] * (count - len(parts))


def as_piece(text: str) -> Piece:
    """Return a `Piece` unchanged, and any other text as a piece that is the whole text."""
    return text if isinstance(text, Piece) else Piece(text, text)


def text_numbers(texts: Sequence[str]) -> np.ndarray:
    """Return the number of the text that each one is or is a piece of, counted from 0.

    Args:
        texts: Texts and pieces of longer ones, in succession.
    """
    begins = []
    before: str | None = None  # the text of the piece before
    for text in texts:
        whole = text.whole if isinstance(text, Piece) else text
        begins.append(not isinstance(text, Piece) or not text.offset or whole != before)
        before = whole
    return np.cumsum(np.array(begins, np.int64)) - 1


def first_pieces(texts: Sequence[str]) -> np.ndarray:
    """Return the index of the first piece of each text.

    Args:
        texts: As for `text_numbers`.
    """
    return np.flatnonzero(np.diff(text_numbers(texts), prepend=-1))
