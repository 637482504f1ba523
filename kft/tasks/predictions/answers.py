"""Answers to questions: the part of each context that answers, drawn on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Self

import numpy as np

from kft.data.parts import SEPARATOR, Piece
from kft.tasks.answering.best import best_of
from kft.tasks.predictions.base import Predictions, line


@dataclass(frozen=True)
class Answer:
    """An answer and where it stands.

    Attributes:
        text: The answer, as it stands in the context; empty for none.
        start: Its first character in the context, from 0; -1 for none.
        end: The character after its last one; -1 for none.
        score: Its probability, or that of no answer.
    """

    text: str
    start: int
    end: int
    score: float

    def __bool__(self) -> bool:
        return self.end > 0


@dataclass(frozen=True, eq=False, repr=False)
class AnswerPredictions(Predictions):
    """The answer to each question, `predictions[0]` an `Answer`; one of none is false.

    Args:
        inputs: The questions with their contexts, as `kft.data.parts.join_parts` makes texts of them.
        answers: The answer to each.
    """

    answers: Sequence[Answer]

    @classmethod
    def of(
        cls, texts: Sequence[Piece], outputs: np.ndarray, longest: int, threshold: float
    ) -> Self:
        """Return what a model answers.

        Args:
            texts: The texts, the pieces of a long one after another.
            outputs: What the model puts out for them, see `kft.tasks.Spans.head`.
            longest: The most tokens of an answer.
            threshold: The margin from which on there is no answer.
        """
        begins, best = best_of(texts, outputs, longest)
        wholes = [texts[at].whole for at in begins]
        answers = []
        for index, text in enumerate(wholes):
            content = text.partition(SEPARATOR)[2].encode()
            if best.margin[index] > threshold or best.ends[index] <= 0:
                answers.append(Answer("", -1, -1, _probability(best.none[index])))
                continue
            first, end = int(best.starts[index]), int(best.ends[index])
            start, answer = len(content[:first].decode()), content[first:end].decode()
            score = _probability(best.scores[index])
            answers.append(Answer(answer, start, start + len(answer), score))
        return cls(wholes, answers)

    def columns(self) -> dict[str, list[Any]]:
        """Return `question`, `answer`, `start`, `end`, `score` and `context`."""
        parts = [text.partition(SEPARATOR) for text in self.inputs]
        return {
            "question": [question for question, _, _ in parts],
            "answer": [one.text for one in self.answers],
            "start": [one.start for one in self.answers],
            "end": [one.end for one in self.answers],
            "score": [one.score for one in self.answers],
            "context": [context for _, _, context in parts],
        }

    @property
    def labels(self) -> list[str]:
        """The answers in words."""
        return [one.text for one in self.answers]

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the table that prints: question, answer and score."""
        head = ["question", "answer", "score"]
        columns = self.columns()
        shown = ([self.shown(name, value) for value in columns[name]] for name in head)
        return head, [list(row) for row in zip(*shown, strict=True)]

    def _at(self, index: int) -> Answer:
        return self.answers[index]

    def _repr_html_(self) -> str:
        return "".join(map(_drawn, self.inputs, self.answers))


def _probability(log: float) -> float:
    return float(str(np.float32(math.exp(log))))


def _drawn(text: str, answer: Answer) -> str:
    """A question, and its context as HTML in which the answer is marked."""
    question, _, context = text.partition(SEPARATOR)
    drawn = escape(context)
    if answer:
        drawn = (
            f"{escape(context[: answer.start])}"
            f'<mark style="background:#ffe58f;color:#111;padding:.1em .3em;border-radius:.3em" '
            f'title="{answer.score:.1%}">{escape(answer.text)}</mark>'
            f"{escape(context[answer.end :])}"
        )
    said = "" if answer else f" <small>no answer ({answer.score:.1%})</small>"
    return f"<p><b>{escape(line(question))}</b>{said}</p><p>{drawn}</p>"
