"""The scorer of taggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.tasks.evaluation.checks import finite_outputs
from kft.tasks.evaluation.content import Mistake
from kft.tasks.evaluation.ratios import Ratio
from kft.tasks.evaluation.scorer import Places, compact, need_examples
from kft.tasks.evaluation.tagging import EntityMetrics, TaggingEvaluation
from kft.tasks.evaluation.worst import Worst
from kft.tasks.tags.answers import tags_of
from kft.tasks.tags.pieces import JoinedPieces, Words
from kft.tasks.tags.scheme import Span, scheme_of

KEPT_MISTAKES = 100
_SHOWN = 8  # entities in the description of a mistake


class TaggingScorer:
    """Score tags batch by batch, keeping counts, the worst texts and unfinished long ones; see `Scorer`.

    Args:
        classes: The tags.
        task: The name of the task in the evaluation.
        texts: The texts in the order of the data, which may be pieces of longer ones; each of these
            counts as one text, once all its pieces have come. Defaults to whole texts.
    """

    def __init__(
        self, classes: Sequence[str], task: str = "tagging", texts: Sequence[str] = ()
    ) -> None:
        self._classes, self._task = tuple(classes), task
        self._scheme = scheme_of(self._classes, "the recipe")
        self._types = self._scheme.types(self._classes)
        self._number = {name: place for place, name in enumerate(self._types)}
        k = len(self._types)
        self._counts = np.zeros((3, k), np.int64)  # in the data, answers, right
        self._confusion = np.zeros((k + 1, k + 1), np.int64)
        self._scored, self._overlapping, self._words = Ratio(), Ratio(), Ratio()
        self._cut = 0
        self._places = Places()
        self._joined = JoinedPieces(texts) if len(texts) else None
        self._examples: list[np.ndarray] = []
        self._worst = Worst(KEPT_MISTAKES)

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch.

        Args:
            targets: The targets of `Tagging.collate`, `[n, length]`.
            outputs: The outputs of the model, `[n, length, tags + 2]`.
            rows: As in `Scorer`.

        Raises:
            InputError: If their shapes do not match, or scores are not finite.
        """
        targets, outputs = np.asarray(targets), np.asarray(outputs)
        if targets.shape != outputs.shape[:2] or outputs.shape[2:] != (len(self._classes) + 2,):
            raise InputError(
                f"targets of shape {targets.shape} and outputs of shape {outputs.shape}: expected "
                f"[n, length] and [n, length, {len(self._classes) + 2}], the {len(self._classes)} tags "
                "and the places of the words."
            )
        chosen = targets >= 0
        finite_outputs(outputs[chosen])
        places = self._places.of(rows, outputs)
        self._cut += int((-1 - np.minimum(targets, -1)).sum())
        is_piece = (
            np.zeros(len(places), bool) if self._joined is None else self._joined.is_piece(places)
        )
        whole = np.flatnonzero(~is_piece)
        numbers = places if self._joined is None else self._joined.numbers[places]
        found = [(int(numbers[at]), _words(targets[at], outputs[at], chosen[at])) for at in whole]
        answers, _ = tags_of(outputs[whole, :, :-2], chosen[whole], self._classes)
        self._add(found, answers)
        for at in np.flatnonzero(is_piece):
            assert self._joined is not None
            words = _words(targets[at], outputs[at], chosen[at])
            complete = self._joined.add(int(places[at]), words)
            if complete is not None:
                self._add_joined(*complete)

    def result(self) -> TaggingEvaluation:
        """Return the evaluation of all batches."""
        if self._joined is not None:
            for number, words in self._joined.rest():
                self._add_joined(number, words)
        need_examples(sum(map(len, self._examples)))
        metrics = [
            EntityMetrics(name, *map(int, counts))
            for name, counts in zip(self._types, self._counts.T, strict=True)
        ]
        return TaggingEvaluation(
            task=self._task,
            examples=compact(np.sort(np.concatenate(self._examples))),
            per_type=tuple(metrics),
            confusion_matrix=self._confusion,
            scored=self._scored,
            overlapping=self._overlapping,
            words=self._words,
            cut_words=self._cut,
            has_entities=bool(self._scheme.prefixes),
            wrong=tuple(
                Mistake(int(place), str(sides[0]), str(sides[1]), float(size))
                for place, size, sides in self._worst.rows()
            ),
        )

    def _add_joined(self, number: int, words: Words) -> None:
        """Add a text whose words come from several pieces."""
        all_words = np.ones((1, len(words.tags)), bool)
        self._add([(number, words)], tags_of(words.scores[None], all_words, self._classes)[0])

    def _add(self, found: Sequence[tuple[int, Words]], answers: Sequence[list[str]]) -> None:
        """Add texts, each with its number in the data, and the tags that the model gives them."""
        places, sizes = np.array([place for place, _ in found], np.int64), np.zeros(len(found))
        sides = np.empty((len(found), 2), object)
        self._examples.append(places)
        for index, ((_, words), answer) in enumerate(zip(found, answers, strict=True)):
            truth = [self._classes[n] for n in words.tags]
            spans = self._scheme.spans(truth), self._scheme.spans(answer)
            sizes[index] = self._count(*map(set, spans))
            right = sum(one == other for one, other in zip(truth, answer, strict=True))
            self._words.add(right, len(truth))
            if sizes[index]:
                sides[index] = [_described(one, words.places) for one in spans]
        wrong = sizes > 0
        self._worst.add(places[wrong], sizes[wrong], sides[wrong])

    def _count(self, truth: set[Span], answers: set[Span]) -> int:
        """Count the entities of a text, and return how many are missed or wrong."""
        for row, spans in enumerate((truth, answers, truth & answers)):
            for _, _, kind in spans:
                self._counts[row, self._number[kind]] += 1
        right = len(truth & answers)
        self._scored.add(2 * right, len(truth) + len(answers))
        self._overlapping.add(_matched(truth, answers), len(truth) + len(answers))
        none = len(self._types)
        ends = {(first, end): self._number[kind] for first, end, kind in answers}
        for first, end, kind in truth:
            self._confusion[self._number[kind], ends.pop((first, end), none)] += 1
        for number in ends.values():
            self._confusion[none, number] += 1
        return len(truth) + len(answers) - 2 * right


def _words(targets: np.ndarray, outputs: np.ndarray, chosen: np.ndarray) -> Words:
    """Return the chosen words of a text."""
    found = outputs[chosen]
    return Words(targets[chosen], found[:, :-2], found[:, -2:].astype(np.int64))


def _matched(truth: set[Span], answers: set[Span]) -> int:
    """Return twice the number of entities with right ends, plus that of those that only overlap.

    Neither the true entities of a text nor the answers overlap among themselves. Each counts once.
    """
    sides = [{(first, end) for first, end, _ in one} for one in (truth, answers)]
    both = sides[0] & sides[1]
    left, others = (sorted(one - both) for one in sides)
    matched = 2 * len(both)
    at = 0
    for first, end in others:
        while at < len(left) and left[at][1] <= first:
            at += 1
        if at < len(left) and left[at][0] < end:
            matched += 1
            at += 1
    return matched


def _described(spans: Sequence[Span], places: np.ndarray) -> str:
    """Describe entities, with the bytes at which they start and end."""
    shown = [
        f"{kind} {places[first, 0]} to {max(places[end - 1, 1], places[end - 1, 0] + 1)}"
        for first, end, kind in spans[:_SHOWN]
    ]
    more = [f"{len(spans) - _SHOWN} more"] if len(spans) > _SHOWN else []
    return ", ".join([*shown, *more]) or "nothing"
