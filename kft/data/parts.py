"""Inputs of several texts as one: a question on the first line, its context on all others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

__all__ = ["SEPARATOR", "Piece", "as_piece", "join_parts", "split_parts"]

SEPARATOR = "\n"


class Piece(str):
    """A text whose last part is a piece of that of a longer text.

    Args:
        text: The text that a model is given.
        whole: The text that it comes from.
        offset: The byte of the whole last part at which the piece begins. Defaults to 0.
    """

    whole: str
    offset: int

    def __new__(cls, text: str, whole: str, offset: int = 0) -> Self:
        """Make a text that knows where it comes from."""
        made = super().__new__(cls, text)
        made.whole, made.offset = whole, offset
        return made

    def __getnewargs__(self) -> tuple[str, str, int]:  # type: ignore[override]
        return str(self), self.whole, self.offset


def join_parts(parts: Iterable[str]) -> str:
    """Return texts as one: each on a line of its own, where line breaks become spaces, but the last."""
    *first, last = parts
    return SEPARATOR.join([*(one.replace(SEPARATOR, " ") for one in first), last])


def split_parts(text: bytes, count: int) -> list[bytes]:
    """Return the parts of a text in UTF-8; those that it lacks are empty.

    Args:
        text: What `join_parts` returned, encoded.
        count: How many parts there are.
    """
    parts = text.split(SEPARATOR.encode(), count - 1)
    return parts + [b""] * (count - len(parts))


def as_piece(text: str) -> Piece:
    """Return a text as a piece, which is all of it unless it is one already."""
    return text if isinstance(text, Piece) else Piece(text, text)
