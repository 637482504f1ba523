"""Conversion of tags of words, or spans of characters, to rows of byte positions and class numbers."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np

from kft.arguments import shown
from kft.data.encodings import is_unicode
from kft.data.raw_labels import RawLabels
from kft.data.values import is_missing, kind_of
from kft.errors import InputError
from kft.tasks.tags.scheme import Scheme, Span, scheme_of
from kft.tasks.tags.words import given_words, words_of

__all__ = ["Labelled", "byte_places", "is_within_letter", "labelled", "numbered"]

Places = list[tuple[int, int]]  # of words: the first character, and the one after the last
Labelled = tuple[Places, list[str]]


def labelled(raw: RawLabels) -> tuple[list[Labelled | None], dict[int, str]]:
    """Return the words of each text with their tags, and why some texts cannot be used.

    A label is a tag for each word, as a list or separated by white space; or a list of entities in
    characters: `(start, end, type)`, or a dict with these keys. Entities become BIO tags.

    Args:
        raw: The labels, with the texts as their `inputs`.

    Raises:
        InputError: If the texts are not known.
    """
    if raw.inputs is None:
        raise InputError(
            f"{raw.source} has tags, but not the texts that they belong to: pass (texts, tags), a CoNLL "
            "file, or a table with a column of texts."
        )
    values = [one.tolist() if isinstance(one, np.ndarray) else one for one in raw.values]
    nothing = all(isinstance(one, (list, tuple)) and not one for one in values)
    read = _of_spans if nothing or any(map(_is_spans, values)) else _of_tags
    found: list[Labelled | None] = []
    reasons = {}
    for index, (text, value) in enumerate(zip(raw.inputs, values, strict=True)):
        try:
            if isinstance(text, str) and not is_unicode(text):
                raise _UnusableError("a text that is not Unicode")
            found.append(read(text if isinstance(text, str) else "", value))
        except _UnusableError as error:
            found.append(None)
            reasons[index] = raw.with_column(str(error))
    return found, reasons


def numbered(
    found: Sequence[Labelled | None],
    reasons: dict[int, str],
    raw: RawLabels,
    classes: Sequence[str] | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return for each text its words' first bytes and class numbers, int32 `[words, 2]`, and all tags.

    Tags are normalised: an I that begins an entity becomes a B if the scheme has one.

    Args:
        found: What `labelled` returned.
        reasons: Its reasons; texts with tags that were not seen in training are added.
        raw: The labels.
        classes: The tags of the training; None for those of the data.

    Raises:
        InputError: If the tags have no known scheme.
    """
    used = {tag for one in found if one is not None for tag in one[1]}
    if not used:
        return np.empty(len(found), object), tuple(classes or ())
    own = scheme_of(used if classes is None else used | set(classes), raw.source)
    if classes is None:
        classes = own.classes(own.types(used))
    scheme = scheme_of(classes, "the recipe")
    number = {tag: place for place, tag in enumerate(classes)}
    rows = np.empty(len(found), object)
    texts = () if raw.inputs is None else raw.inputs
    for index, (text, one) in enumerate(zip(texts, found, strict=True)):
        rows[index] = np.zeros((0, 2), np.int32)
        if one is None:
            continue
        places, tags = one
        tags = scheme.tags(own.spans(tags), len(tags))
        unseen = next((tag for tag in tags if tag not in number), None)
        if unseen is not None:
            reason = f"the tag {unseen!r:.60} was not seen in training"
            reasons.setdefault(index, raw.with_column(reason))
            continue
        starts = byte_places(text, [first for first, _ in places])
        rows[index] = np.array([starts, [number[tag] for tag in tags]], np.int32).T
    return rows, tuple(classes)


class _UnusableError(ValueError):
    """The label of one text cannot be used."""


def _is_spans(value: Any) -> bool:
    if isinstance(value, Mapping) or not isinstance(value, (list, tuple)) or not value:
        return False
    return isinstance(value[0], (Mapping, list, tuple))


def _of_tags(text: str, value: Any) -> Labelled:
    if isinstance(value, str):
        value = value.split()
    if is_missing(value) or not isinstance(value, (list, tuple)):
        raise _UnusableError(
            "no label" if is_missing(value) else f"{kind_of(value)} is not a list of tags"
        )
    tags = [_tag(one) for one in value]
    places = given_words(text)
    if len(tags) != len(places):
        raise _UnusableError(f"{len(tags)} tags for {len(places)} words: one for each is expected")
    return places, tags


def _tag(value: Any) -> str:
    if not _is_name(value):
        raise _UnusableError(f"{kind_of(value)} is not a tag: expected a name such as 'B-PER'")
    return value.strip()


def _of_spans(text: str, value: Any) -> Labelled:
    if is_missing(value) or not isinstance(value, (list, tuple)):
        raise _UnusableError(
            "no label" if is_missing(value) else f"{kind_of(value)} is not a list of entities"
        )
    spans = sorted(_span(one, text) for one in value)
    for (_, end, kind), (start, _, other) in pairwise(spans):
        if start < end:
            raise _UnusableError(f"entities overlap: {kind!r:.40} and {other!r:.40} at {start}")
    edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
    places = [piece for word in words_of(text) for piece in _cut(*word, edges)]
    firsts, lasts = [first for first, _ in places], [last for _, last in places]
    found: list[Span] = []
    for start, end, kind in spans:
        inside = bisect_left(firsts, start), bisect_right(lasts, end)
        if inside[0] >= inside[1]:
            raise _UnusableError(f"no word lies in {start} to {end}, {kind!r:.40}")
        found.append((*inside, kind))
    return places, Scheme("BI").tags(found, len(places))


def _span(value: Any, text: str) -> Span:
    parts: Any = [value.get(key) for key in _KEYS] if isinstance(value, Mapping) else value
    is_span = isinstance(parts, (list, tuple)) and len(parts) == 3
    if not is_span or not all(map(_is_place, parts[:2])) or not _is_name(parts[2]):
        raise _UnusableError(
            f"{shown(value)} is not an entity: expected [start, end, type], or a dict with these keys"
        )
    start, end, kind = parts
    if not 0 <= start < end <= len(text):
        raise _UnusableError(
            f"the entity {shown(start)} to {shown(end)} does not lie in a text of {len(text)} characters"
        )
    for edge in (start, end):
        if edge < len(text) and is_within_letter(text, edge):
            raise _UnusableError(f"the entity {start} to {end} splits the character at {edge}")
    return start, end, kind


_KEYS = ("start", "end", "type")


def _is_place(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and is_unicode(value)


def is_within_letter(text: str, edge: int) -> bool:
    """Return whether a character belongs to the letter before it, such as a combining accent."""
    return unicodedata.combining(text[edge]) > 0 or text[edge] == "\u200d"


def _cut(start: int, end: int, edges: Sequence[int]) -> Places:
    """Return a word, cut where an entity begins or ends inside it."""
    inside = edges[bisect_right(edges, start) : bisect_left(edges, end)]
    return list(pairwise([start, *inside, end]))


def byte_places(text: str, places: Sequence[int]) -> list[int]:
    """Convert ascending character positions to byte positions in UTF-8."""
    if text.isascii():
        return list(places)
    found, done, size = [], 0, 0
    for place in places:
        size += len(text[done:place].encode())
        done = place
        found.append(size)
    return found
