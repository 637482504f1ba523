"""The words of a text, found in Python as `kft.recipe.words` finds them in its graph."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["APOSTROPHES", "CJK", "ENDS", "STARTS", "given_words", "words_of"]

STARTS, ENDS = "word_starts", "word_ends"  # model inputs that locate the words

Places = list[tuple[int, int]]  # of words: the first character, and the one after the last

# Unlike str.split, this keeps Unicode spaces, which words of a joined list may contain.
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
    """Return the positions of words separated by white space, from their first visible letter."""
    return [(_visible(text, *match.span()), match.end()) for match in _GIVEN.finditer(text)]


def words_of(text: str) -> Places:
    """Return the positions of words in running text; punctuation and CJK characters are separate words.

    Punctuation between letters, as in "U.N" and "well-known", belongs to their word, except an
    apostrophe.
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
    """Return the kind of a character: " " for space, "." for punctuation, "c" for CJK, else "a"."""
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
