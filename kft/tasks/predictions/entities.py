"""Predictions of a tagger: the entities of each text, highlighted in it."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, ClassVar, Self

import numpy as np

from kft.tasks.predictions.base import Predictions, line, plain
from kft.tasks.tags.answers import tags_of
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
            texts: The texts.
            outputs: The outputs of the model, `[n, length, tags + 2]`: scores, and the bytes at which
                words start and end.
            classes: The tags.
        """
        starts, ends = outputs[..., -2].astype(np.int64), outputs[..., -1].astype(np.int64)
        chosen = ends > 0
        tags, scores = tags_of(outputs[..., :-2], chosen, classes)
        scheme = scheme_of(classes, "the recipe")
        found = []
        for index, text in enumerate(texts):
            first, last = starts[index, chosen[index]], ends[index, chosen[index]]
            whole = text.encode()
            entities = []
            for at, end, kind in scheme.spans(tags[index]):
                start, stop = (
                    len(whole[:byte].decode(errors="ignore")) for byte in (first[at], last[end - 1])
                )
                score = plain(scores[index][at:end].mean(keepdims=True))[0]
                entities.append(Entity(start, stop, kind, score, text[start:stop]))
            found.append(tuple(entities))
        return cls(texts, found)

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
