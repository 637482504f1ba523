"""Schemes that encode entities as tags of words: BIO, BIOES, IO, or an independent tag for each word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kft.errors import InputError

__all__ = ["OUTSIDE", "Scheme", "Span", "scheme_of"]

OUTSIDE = "O"
Span = tuple[int, int, str]  # an entity: the first word, the one after the last, and the type

_TAG = re.compile(r"([BIESLU])-(.+)", re.DOTALL)
_USUAL = {"L": "E", "U": "S"}  # BILOU's letters for a last and for a single word


@dataclass(frozen=True)
class Scheme:
    """A scheme of tags.

    Args:
        prefixes: The letters before a type: `"BI"`, `"BIES"` or `"I"`; empty if tags describe single
            words, as parts of speech do.
    """

    prefixes: str

    @property
    def name(self) -> str:
        """The name of the scheme."""
        return {"BI": "BIO", "BIES": "BIOES", "I": "IO"}.get(self.prefixes, "a tag for each word")

    def classes(self, types: Iterable[str]) -> tuple[str, ...]:
        """Return all tags for these types, starting with the tag for no entity if there is one."""
        if not self.prefixes:
            return tuple(sorted(types))
        return (OUTSIDE, *(f"{p}-{kind}" for kind in sorted(types) for p in self.prefixes))

    def types(self, classes: Iterable[str]) -> tuple[str, ...]:
        """Return the sorted entity types of tags."""
        if not self.prefixes:
            return tuple(sorted(set(classes)))
        return tuple(sorted({split(tag)[1] for tag in classes if tag != OUTSIDE}))

    def spans(self, tags: Sequence[str]) -> list[Span]:
        """Return the entities that the tags of a text encode, as in conlleval and seqeval.

        An entity begins with B or S, with a change of type, or with any tag where no entity is open; so
        an I that does not continue an entity of its type begins one.

        Args:
            tags: The tag of each word.
        """
        if not self.prefixes:
            return [(place, place + 1, tag) for place, tag in enumerate(tags)]
        found: list[Span] = []
        first, before, kind_before = 0, OUTSIDE, ""
        for place, tag in enumerate((*tags, OUTSIDE)):
            prefix, kind = split(tag)
            is_inside = before not in (OUTSIDE, "E", "S")
            goes_on = is_inside and prefix in ("I", "E") and kind == kind_before
            if before != OUTSIDE and not goes_on:
                found.append((first, place, kind_before))
            if prefix != OUTSIDE and not goes_on:
                first = place
            before, kind_before = prefix, kind
        return found

    def tags(self, spans: Iterable[Span], count: int) -> list[str]:
        """Return the tags of words that encode entities.

        Args:
            spans: The entities, without overlaps.
            count: The number of words.
        """
        made = [OUTSIDE] * count
        for first, end, kind in spans:
            if not self.prefixes:
                made[first] = kind
                continue
            letters = ["I"] * (end - first)
            if "B" in self.prefixes:
                letters[0] = "B"
            if "S" in self.prefixes:
                letters[-1] = "E" if len(letters) > 1 else "S"
            made[first:end] = [f"{letter}-{kind}" for letter in letters]
        return made

    def may_begin(self, tag: str) -> bool:
        """Return whether a text can begin with a tag."""
        return self.may_follow(OUTSIDE, tag)

    def may_end(self, tag: str) -> bool:
        """Return whether a text can end with a tag."""
        return self.may_follow(tag, OUTSIDE)

    def may_follow(self, before: str, tag: str) -> bool:
        """Return whether one tag can follow another in a valid sequence.

        Args:
            before: The tag of a word.
            tag: The tag of the next one.
        """
        if self.prefixes in ("", "I"):
            return True
        (open_, kind_before), (prefix, kind) = split(before), split(tag)
        if prefix in ("I", "E"):
            return open_ in ("B", "I") and kind == kind_before
        return "S" not in self.prefixes or open_ not in ("B", "I")


def split(tag: str) -> tuple[str, str]:
    """Return the letter and the type of a tag: `("B", "PER")`; `("O", "")` for the tag for no entity."""
    found = None if tag == OUTSIDE else _TAG.fullmatch(tag)
    return (_USUAL.get(found[1], found[1]), found[2]) if found else (OUTSIDE, "")


def scheme_of(tags: Iterable[str], source: str) -> Scheme:
    """Return the scheme of tags, which their names determine.

    Args:
        tags: The tags that occur.
        source: The name of the data in messages.

    Raises:
        InputError: If tags of entities are mixed with other tags, or there is no tag besides `"O"`.
    """
    kinds = set(tags)
    others = sorted(tag for tag in kinds - {OUTSIDE} if not _TAG.fullmatch(tag))
    if kinds <= {OUTSIDE}:
        raise InputError(f"{source} has no tag but {OUTSIDE!r}: pass texts with entities.")
    if others and (len(others) < len(kinds - {OUTSIDE}) or set(others) & set("BIES")):
        entity = next((tag for tag in sorted(kinds) if _TAG.fullmatch(tag)), "B-PER")
        raise InputError(
            f"{source} has tags of no known scheme, such as {others[0]!r:.60}: expected BIO, BIOES or IO "
            f"(such as {entity!r:.60} and {OUTSIDE!r}), or tags without such letters for each word."
        )
    if others:
        return Scheme("")
    letters = {split(tag)[0] for tag in kinds}
    return Scheme("BIES" if letters & {"E", "S"} else "BI" if "B" in letters else "I")
