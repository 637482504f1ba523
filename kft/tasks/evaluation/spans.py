"""Evaluation of question answering: exact match and F1, as SQuAD counts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kft.tasks.evaluation import plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Mistake, Mistakes, Section, Text
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.ratios import Ratio


@dataclass(frozen=True)
class AnswerMetrics:
    """Figures of the answers to some questions.

    Attributes:
        exact: Fraction of the answers that equal an accepted one.
        f1: Mean F1 of their words.
    """

    exact: Ratio
    f1: Ratio


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SpansEvaluation(Evaluation):
    """Evaluation of answers in contexts, each compared with the best matching accepted answer.

    Attributes:
        f1: Mean F1 of the words of the answers.
        exact: Fraction of the answers that are equal except for case, punctuation and articles.
        f1_answered: `f1` of the questions that have an answer; only if some have none.
        f1_unanswered: Fraction of the questions without an answer for which the model returns none.
        best_f1: The mean F1 with the best threshold for these data; only if some have no answer.
        best_threshold: That threshold, see `kft.tasks.Spans`.
        safe_threshold: The threshold nearest to 0 whose mean F1 is within a standard error of the best one:
            with few questions, the best threshold is mostly chance. None if all have an answer.
    """

    task: str = "spans"
    all_questions: AnswerMetrics
    answered: AnswerMetrics
    unanswered: AnswerMetrics
    best_f1: float | None
    best_threshold: float | None
    safe_threshold: float | None
    wrong: tuple[Mistake, ...] = ()

    @property
    def figures(self) -> Figures:
        """Name and value of each figure; `f1` first."""
        f1, exact = self.all_questions.f1, self.all_questions.exact
        meaning = "overlap of the words of both answers, mean over the questions"
        equal = "fraction of equal answers, ignoring case, punctuation and articles"
        made = [
            Figure("f1", f1.value, f1.interval, "F1", meaning, "max", True),
            Figure("exact", exact.value, exact.interval, "exact match", equal, "max", True),
        ]
        if self.unanswered.f1.value is None:
            return Figures(made)
        of = (
            ("F1, answered", "of the questions with an answer"),
            (
                "F1, unanswered",
                "how often the model says that there is none",
            ),
        )
        for name, one, (label, meaning) in zip(
            ("answered", "unanswered"), (self.answered, self.unanswered), of, strict=True
        ):
            figure = one.f1.value, one.f1.interval
            made.append(Figure(f"f1_{name}", *figure, label, meaning, "max", True))
        best = "with the best threshold for these data"
        made.append(Figure("best_f1", self.best_f1, None, "best F1", best, None, True))
        threshold = "margin above which the answer is that there is none"
        made.append(Figure("best_threshold", self.best_threshold, None, "", threshold))
        return Figures(made)

    def sections(self) -> tuple[Section, ...]:
        """Return the most confident wrong answers."""
        if not self.wrong:
            return ()
        sentence = "The model is {size} sure of {predicted}; the answer is {expected}."
        note = Text("The question comes first, then its context.")
        found = Mistakes(self.mistakes(), sentence, ".1%")
        return (Section("mistakes", "Wrong answers of which the model is sure", (note, found)),)

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the most confident wrong answers; `size` is their probability."""
        return self.wrong[:limit]

    def plot(self) -> plots.Drawing:
        """Return a matplotlib figure with a bar per figure that is a fraction."""
        return plots.bars(Figures(one for one in self.figures.described if one.is_fraction))

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers."""
        interval = self.figures.figure("f1").interval
        return {**super().to_dict(), "f1_interval": None if interval is None else list(interval)}
