"""Evaluation of taggers by whole entities, as conlleval and seqeval count them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.tasks.evaluation import plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Grid, Mistake, Mistakes, Section, Table, Text
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.ratios import Ratio

NOTHING = "(none)"


@dataclass(frozen=True)
class EntityMetrics:
    """Figures of the entities of one type.

    Attributes:
        type: The type.
        precision: Fraction of the answers that are right; None without any.
        recall: Fraction of the entities that are found; None without any.
        f1: Harmonic mean of both, `2 right / (answers + entities)`; None without either.
        entities: The number of entities in the data.
        answers: The number of predicted entities.
        right: How many of these are right in both ends and type.
    """

    type: str
    entities: int
    answers: int
    right: int

    @property
    def precision(self) -> float | None:
        """Fraction of the answers that are right; None without any."""
        return self.right / self.answers if self.answers else None

    @property
    def recall(self) -> float | None:
        """Fraction of the entities that are found; None without any."""
        return self.right / self.entities if self.entities else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None without entities and answers."""
        total = self.answers + self.entities
        return 2 * self.right / total if total else None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TaggingEvaluation(Evaluation):
    """Evaluation of a tagger's entities; one is right if both its ends and its type are.

    If the tags have no prefixes such as B and I, each word is an entity.

    Attributes:
        f1: F1 over all entities (micro); None without entities in data and answers.
        precision: Precision over all entities.
        recall: Recall over all entities.
        f1_macro: Mean F1 of the types that occur in the data.
        f1_partial: F1 by places alone, in which an answer with other ends that overlaps with an entity
            is half right (SemEval-2013 task 9, Segura-Bedmar et al.,
            https://aclanthology.org/S13-2056); None for tags of single words.
        accuracy: Fraction of the words with the right tag.
        cut_words: The number of words without a token, since their texts are longer than the model's
            maximum length. They count in no other figure.
        per_type: `EntityMetrics` of each type.
        confusion_matrix: Counts `[k + 1, k + 1]` of entities with the same ends; rows are true types,
            columns predicted ones, and the last row and column stand for no such entity.
    """

    task: str = "tagging"
    per_type: tuple[EntityMetrics, ...]
    confusion_matrix: np.ndarray
    scored: Ratio
    overlapping: Ratio
    words: Ratio
    cut_words: int
    has_entities: bool
    wrong: tuple[Mistake, ...] = ()

    @property
    def micro(self) -> EntityMetrics:
        """The metrics of all types together."""
        counts = [(one.entities, one.answers, one.right) for one in self.per_type]
        return EntityMetrics("all", *map(sum, zip(*counts, strict=True)))

    @property
    def figures(self) -> Figures:
        """Name and value of each figure; `f1` first, or `accuracy` for tags of single words."""
        f1s = [one.f1 for one in self.per_type if one.entities]
        macro = float(np.mean([one or 0.0 for one in f1s])) if f1s else None
        what = "entities" if self.has_entities else "words"
        micro = self.micro
        accuracy = Figure(
            "accuracy",
            self.words.value,
            self.words.interval,
            "word accuracy",
            "fraction of the words with the right tag",
            "max",
            True,
        )
        made = [
            Figure(
                "f1",
                micro.f1,
                self.scored.interval,
                "F1",
                f"of all {what}, with both ends and type right",
                "max",
                True,
            ),
            Figure("precision", micro.precision, None, "", f"of all {what}", "max", True),
            Figure("recall", micro.recall, None, "", f"of all {what}", "max", True),
            Figure("f1_macro", macro, None, "F1, macro", "mean over the types", "max", True),
        ]
        partial = Figure(
            "f1_partial",
            self.overlapping.value,
            self.overlapping.interval,
            "F1, partial",
            "by places alone; with other ends that overlap, an answer is half right",
            "max",
            True,
        )
        made = [*made, partial, accuracy] if self.has_entities else [accuracy, *made]
        cut = "words beyond the sequence length; no other figure counts them"
        return Figures([*made, Figure("cut_words", self.cut_words, None, "cut words", cut, "min")])

    def tables(self) -> tuple[Table, ...]:
        """Return the figures, and those of each type."""
        return (*super().tables(), self._types())

    def sections(self) -> tuple[Section, ...]:
        """Return the types, their confusion matrix, and the texts with the most mistakes."""
        names = (*(one.type for one in self.per_type), NOTHING)
        counts = tuple(map(tuple, self.confusion_matrix.tolist()))
        note = Text(
            "Rows are the true types, columns the model's, of entities with the same ends; "
            f"{NOTHING} stands for no entity with these ends."
        )
        sections = [
            Section("types", "Types", (self._types(),)),
            Section("confusion", "Confusion of types", (note, Grid("Types", names, counts))),
        ]
        if self.wrong:
            sentence = "{size} wrong: the model predicts {predicted}; the truth is {expected}."
            sections.append(
                Section(
                    "mistakes",
                    "Texts with the most mistakes",
                    (
                        Text("Places are in bytes of the text."),
                        Mistakes(self.mistakes(), sentence, ".0f"),
                    ),
                )
            )
        return tuple(sections)

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the texts with the most missed and wrong entities, counted by `size`; at most 100."""
        return self.wrong[:limit]

    def plot(self) -> plots.Drawing:
        """Return a matplotlib figure with a bar per figure that is a fraction."""
        return plots.bars(Figures(one for one in self.figures.described if one.is_fraction))

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers."""
        interval = self.figures.figure("f1").interval
        return {
            **super().to_dict(),
            "f1_interval": None if interval is None else list(interval),
            "per_type": [
                {
                    "type": one.type,
                    "precision": one.precision,
                    "recall": one.recall,
                    "f1": one.f1,
                    "entities": one.entities,
                    "answers": one.answers,
                }
                for one in self.per_type
            ],
            "confusion_matrix": self.confusion_matrix.tolist(),
        }

    def _types(self) -> Table:
        head = ("type", "precision", "recall", "F1", "in the data", "answers")
        rows = tuple(
            (one.type, one.precision, one.recall, one.f1, one.entities, one.answers)
            for one in (*self.per_type, self.micro)
        )
        return Table("Types of entities" if self.has_entities else "Tags", head, rows)
