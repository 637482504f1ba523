"""Predictions of a tagger: the entities of each text, highlighted in it."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, ClassVar, Self

import numpy as np

from kft.data.parts import as_piece, first_pieces
from kft.tasks.predictions.base import Predictions, line, plain
from kft.tasks.tags.answers import tags_of
from kft.tasks.tags.pieces import own_words
from kft.tasks.tags.scheme import scheme_of


@dataclass(frozen=True)
class Entity:
    """An entity in a text.

    Attributes:
        start: The index of its first character.
        end: The index after its last character.
        type: Its type, such as `"PER"`; the tag, if tags stand for single words.
        score: The mean probability of the tags of its words.
        text: The entity itself.
    """

    start: int
    end: int
    type: str
    score: float
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class EntityPredictions(Predictions):
    """The entities of each text, in order; an answer, `predictions[0]`, is a tuple of `Entity`.

    The tags are the most probable valid sequence, with no I without a B before it.

    Args:
        inputs: The texts.
        entities: The entities of each text.
    """

    like: ClassVar[Mapping[str, Any]] = {"entities": [asdict(Entity(0, 0, "", 0.0, ""))]}

    entities: Sequence[tuple[Entity, ...]]

    @classmethod
    def of(cls, texts: Sequence[str], outputs: np.ndarray, classes: Sequence[str]) -> Self:
        """Return the entities of texts from the outputs of a model.

        Args:
            texts: The texts; the pieces of a long one follow each other.
            outputs: The outputs of the model, `[n, length, tags + 2]`: scores, and the bytes at which
                words start and end.
            classes: The tags.
        """
        begins = first_pieces(texts)
        places = outputs[..., -2:].astype(np.int64)
        own = [own_words(text, row[:, 0]) for text, row in zip(texts, places, strict=True)]
        chosen = (places[..., 1] > 0) & np.array(own, bool).reshape(places.shape[:-1])
        places += np.array([as_piece(text).offset for text in texts], np.int64)[:, None, None]
        counts = np.diff([*begins, len(texts)])
        short = begins[counts == 1]
        tagged = dict(
            zip(short.tolist(), _tagged(outputs[short], chosen[short], classes), strict=True)
        )
        wholes, entities = [], []
        for first, count in zip(begins.tolist(), counts.tolist(), strict=True):
            rows = slice(first, first + count)
            words = chosen[rows]
            if count > 1:
                joined = outputs[rows][words][None]
                (tagged[first],) = _tagged(joined, np.ones(joined.shape[:2], bool), classes)
            tags, scores = tagged[first]
            wholes.append(as_piece(texts[first]).whole)
            entities.append(_entities(wholes[-1], places[rows][words], tags, scores, classes))
        return cls(wholes, entities)

    def columns(self) -> dict[str, list[Any]]:
        """Return `input` and `entities`, lists of dicts of `start`, `end`, `type`, `score` and `text`."""
        return {
            "input": list(self.inputs),
            "entities": [[asdict(one) for one in some] for some in self.entities],
        }

    def shown(self, column: str, value: Any) -> str:
        """Return a cell of the printed table."""
        if column != "entities":
            return super().shown(column, value)
        return line("; ".join(f"{e['type']}: {e['text']} ({e['score']:.2f})" for e in value))

    def _at(self, index: int) -> tuple[Entity, ...]:
        return self.entities[index]

    def _repr_html_(self) -> str:
        drawn = map(_drawn, self.inputs, self.entities)
        return "".join(f'<p style="line-height:2">{one}</p>' for one in drawn)


def _tagged(
    outputs: np.ndarray, chosen: np.ndarray, classes: Sequence[str]
) -> list[tuple[list[str], np.ndarray]]:
    """Return the tags of the chosen words of each text, and their probabilities."""
    return list(zip(*tags_of(outputs[..., :-2], chosen, classes), strict=True))


def _entities(
    text: str,
    places: np.ndarray,
    tags: Sequence[str],
    scores: np.ndarray,
    classes: Sequence[str],
) -> tuple[Entity, ...]:
    """Return the entities of a text.

    Args:
        text: The text.
        places: The bytes at which its words start and end, `[m, 2]`.
        tags: The tag of each word.
        scores: The probabilities of these tags, `[m]`.
        classes: All tags.
    """
    whole = text.encode()
    found = []
    for at, end, kind in scheme_of(classes, "the recipe").spans(tags):
        start, stop = (
            len(whole[:byte].decode(errors="ignore"))
            for byte in (places[at, 0], places[end - 1, 1])
        )
        score = plain(scores[at:end].mean(keepdims=True))[0]
        found.append(Entity(start, stop, kind, score, text[start:stop]))
    return tuple(found)


def _drawn(text: str, entities: Sequence[Entity]) -> str:
    """Return a text as HTML with its entities highlighted."""
    made, done = [], 0
    for one in entities:
        made.append(escape(text[done : one.start]))
        made.append(
            f'<mark style="background:{_colour(one.type)};color:#111;padding:.1em .3em;'
            f'border-radius:.3em" title="{one.score:.1%}">{escape(text[one.start : one.end])}'
            f" <small><b>{escape(one.type)}</b></small></mark>"
        )
        done = one.end
    return "".join([*made, escape(text[done:])])


def _colour(kind: str) -> str:
    """Return the light colour of a type, always the same one."""
    red, green, blue = colorsys.hls_to_rgb(zlib.crc32(kind.encode()) % 360 / 360, 0.82, 0.7)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"
