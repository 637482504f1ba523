"""Inputs of several texts joined in one, such as a question on the first line and its context below."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

__all__ = ["SEPARATOR", "Piece", "as_piece", "join_parts", "split_parts"]

SEPARATOR = "\n"


class Piece(str):
    """A text whose last part is a piece of the last part of a longer text.

    Args:
        text: The text for the model.
        whole: The longer text.
        offset: The byte of the longer last part at which the piece begins. Defaults to 0.
    """

    whole: str
    offset: int

    def __new__(cls, text: str, whole: str, offset: int = 0) -> Self:
        """Create the text with its origin."""
        made = super().__new__(cls, text)
        made.whole, made.offset = whole, offset
        return made

    def __getnewargs__(self) -> tuple[str, str, int]:  # type: ignore[override]
        return str(self), self.whole, self.offset


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
