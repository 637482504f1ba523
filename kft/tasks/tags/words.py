"""The words of a text in Python, as `kft.recipe.words` finds them in its graph."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["APOSTROPHES", "CJK", "ENDS", "STARTS", "given_words", "words_of"]

STARTS, ENDS = "word_starts", "word_ends"  # inputs of a model that is told where words lie

Places = list[tuple[int, int]]  # the first character of each word and the one after its last

# Unlike str.split: words of a list are joined by spaces, and may hold wider ones.
_GIVEN = re.compile(r"[^ \t\n\r\f\v]+")
APOSTROPHES = "'\u2019"
CJK = (  # first and last code point of each block
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def given_words(text: str) -> Places:
    """Return the places of words that white space separates, from their first visible letter."""
    return [(_visible(text, *match.span()), match.end()) for match in _GIVEN.finditer(text)]


def words_of(text: str) -> Places:
    """Return the places of the words of running text: punctuation and CJK characters stand alone.

    A mark that joins letters, as in "U.N" and "well-known", belongs to their word; an apostrophe does
    not.
    """
    kinds = [_kind(letter) for letter in text]
    found: Places = []
    place = 0
    while place < len(text):
        first, place = place, place + 1
        if kinds[first] == " ":
            continue
        while kinds[first] == "a" and place < len(text):
            joins = kinds[place] == "." and text[place] not in APOSTROPHES
            if joins and place + 1 < len(text) and kinds[place + 1] == "a":
                place += 1
            elif kinds[place] != "a":
                break
            place += 1
        found.append((first, place))
    return found


def _kind(letter: str) -> str:
    """A space is " ", punctuation ".", a CJK character "c", and all else "a"."""
    number = ord(letter)
    if number < 128:
        if letter.isalnum():
            return "a"
        return "." if letter.isprintable() and letter != " " else " "
    category = unicodedata.category(letter)
    if category in ("Cc", "Cf"):
        return " "
    if category.startswith("P"):
        return "."
    return "c" if any(low <= number <= high for low, high in CJK) else "a"


def _visible(text: str, first: int, end: int) -> int:
    return next((at for at in range(first, end) if _kind(text[at]) != " "), first)
