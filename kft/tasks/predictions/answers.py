"""Predictions of question answering: the answer to each question, highlighted in its context."""

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
    """An answer and its position.

    Attributes:
        text: The answer as it stands in the context; empty if there is none.
        start: The index of its first character in the context; -1 if there is none.
        end: The index after its last character; -1 if there is none.
        score: The probability of the answer, or of no answer.
    """

    text: str
    start: int
    end: int
    score: float

    def __bool__(self) -> bool:
        return self.end > 0


@dataclass(frozen=True, eq=False, repr=False)
class AnswerPredictions(Predictions):
    """The answer to each question; `predictions[0]` is an `Answer`, which is false if there is none.

    Args:
        inputs: The questions with their contexts, joined by `kft.data.parts.join_parts`.
        answers: The answer to each question.
    """

    answers: Sequence[Answer]

    @classmethod
    def of(
        cls, texts: Sequence[Piece], outputs: np.ndarray, longest: int, threshold: float
    ) -> Self:
        """Return the answers of a model from its outputs.

        Args:
            texts: The texts; the pieces of a long one follow each other.
            outputs: The outputs of the model for them, see `kft.tasks.Spans.head`.
            longest: The maximum number of tokens of an answer.
            threshold: The margin above which there is no answer.
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
        """The text of each answer."""
        return [one.text for one in self.answers]

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the printed table: question, answer and score."""
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
    """Return a question and its context as HTML, with the answer highlighted."""
    question, _, context = text.partition(SEPARATOR)
    drawn = escape(context)
    if answer:
        drawn = (
            f"{escape(context[: answer.start])}"
            f'<mark style="background:#ffe58f;color:#111;padding:.1em .3em;border-radius:.3em" '
            f'title="{answer.score:.1%}">{escape(answer.text)}</mark>'
            f"{escape(context[answer.end :])}"
        )
    note = "" if answer else f" <small>no answer ({answer.score:.1%})</small>"
    return f"<p><b>{escape(line(question))}</b>{note}</p><p>{drawn}</p>"
