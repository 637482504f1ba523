"""The scorer of question answering."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.answers import NumpyOps
from kft.data.parts import text_numbers
from kft.errors import InputError
from kft.tasks.answering.best import Best, best_spans, merged
from kft.tasks.answering.counting import best_scores
from kft.tasks.answering.labels import answers_of, context_of
from kft.tasks.evaluation.checks import finite_outputs
from kft.tasks.evaluation.content import Mistake
from kft.tasks.evaluation.ratios import Ratio
from kft.tasks.evaluation.scorer import Places, compact, need_examples
from kft.tasks.evaluation.spans import AnswerMetrics, SpansEvaluation
from kft.tasks.evaluation.worst import Worst

if TYPE_CHECKING:
    from kft.data.examples import Examples

KEPT_MISTAKES = 100
NO_ANSWER = "(no answer)"


class SpansScorer:
    """Score answers by their words, keeping four numbers per piece of a context; see `Scorer`.

    Args:
        examples: The questions; the pieces of a long context follow each other.
        longest: The maximum number of tokens of an answer.
        threshold: The margin above which there is no answer.
        task: The name of the task in the evaluation.
    """

    def __init__(
        self, examples: Examples, longest: int, threshold: float, task: str = "spans"
    ) -> None:
        self._examples, self._longest = examples, longest
        self._threshold, self._task = threshold, task
        self._places = Places()
        self._found = np.full((len(examples), 4), np.nan)

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch.

        Args:
            targets: The targets of `Spans.collate`, which are not used.
            outputs: The outputs of the model, `[n, length, 4]`.
            rows: As in `Scorer`.

        Raises:
            InputError: If the outputs have another shape, or are not finite.
        """
        outputs = np.asarray(outputs, np.float32)
        if outputs.ndim != 3 or outputs.shape[2] != 4:
            raise InputError(f"outputs of shape {outputs.shape}: expected [n, length, 4].")
        finite_outputs(outputs)
        best = best_spans(outputs, self._longest, NumpyOps())
        found = np.stack([best.starts, best.ends, best.scores, best.none], axis=1)
        self._found[self._places.of(rows, outputs)] = found

    def result(self) -> SpansEvaluation:
        """Return the evaluation of all batches."""
        seen = np.flatnonzero(~np.isnan(self._found[:, 2]))
        need_examples(len(seen))
        texts = self._examples.inputs[seen]
        begins, best = merged(texts, Best(*self._found[seen].T))
        counted, numbers = _Counted(self._threshold), text_numbers(self._examples.inputs)[seen]
        for index, at in enumerate(begins):
            context = context_of(texts[at])
            answer = context.encode()[best.starts[index] : best.ends[index]].decode()
            accepted = answers_of(self._examples.targets[seen[at]], context)
            counted.add(int(numbers[at]), answer, accepted, best.scores[index], best.none[index])
        best_f1, best_threshold = counted.best()
        return SpansEvaluation(
            task=self._task,
            examples=compact(numbers[begins]),
            all_questions=counted.metrics[None],
            answered=counted.metrics[True],
            unanswered=counted.metrics[False],
            best_f1=best_f1,
            best_threshold=best_threshold,
            safe_threshold=counted.safe_threshold(),
            wrong=counted.wrong(),
        )


class _Counted:
    """Sums over the questions and the worst answers."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.metrics = {kind: AnswerMetrics(Ratio(), Ratio()) for kind in (None, True, False)}
        self._worst = Worst(KEPT_MISTAKES)
        self._margins: list[tuple[float, float]] = []  # and the F1 gained by answering
        self._unanswered = 0.0  # the sum of F1 if no question is answered

    def add(self, row: int, answer: str, accepted: list[str], score: float, none: float) -> None:
        """Add the best answer to a question.

        Args:
            row: The position of the question in the data.
            answer: The answer.
            accepted: The accepted answers; empty if there is no answer.
            score: The log-probability of the answer.
            none: The log-probability of no answer.
        """
        margin = none - score
        silent = best_scores("", accepted)[1]
        self._margins.append((margin, best_scores(answer, accepted)[1] - silent))
        self._unanswered += silent
        if margin > self._threshold:
            answer, score = "", none
        exact, f1 = best_scores(answer, accepted)
        for kind in (None, bool(accepted)):
            self.metrics[kind].exact.add(exact, 1)
            self.metrics[kind].f1.add(f1, 1)
        if not exact:
            sides = [answer or NO_ANSWER, " | ".join(dict.fromkeys(accepted)) or NO_ANSWER]
            sure = np.array([math.exp(score)])
            self._worst.add(np.array([row]), sure, np.array([sides], object))

    def best(self) -> tuple[float | None, float | None]:
        """Return the best mean F1 and its threshold, the largest margin at which to answer."""
        if self.metrics[False].f1.value is None:
            return None, None
        margins, gains, sums = self._answering()
        at = int(sums.argmax())
        threshold = margins[at - 1] if at else margins[0] - 1.0
        return float(sums[at] / len(gains)), float(threshold)

    def safe_threshold(self) -> float | None:
        """Return the threshold nearest to 0 whose F1 is within a standard error of the best.

        Thresholds differ in the questions whose margins lie between them, and the standard error of the
        difference is about the root of the sum of squares of what these gain by being answered.
        """
        if self.metrics[False].f1.value is None:
            return None
        margins, gains, sums = self._answering()
        squares = np.concatenate([[0.0], np.cumsum(gains**2)])
        at = sums.argmax()
        near = sums[at] - sums <= np.sqrt(np.abs(squares - squares[at]))
        # The thresholds with these answers reach from the least to below the most.
        least = np.concatenate([[-np.inf], margins])
        most = np.concatenate([margins, [np.inf]])
        if np.any(near & (least <= 0) & (most > 0)):
            return 0.0
        near &= least < most
        least, most = least[near], most[near]
        middle = (np.maximum(least, margins[0] - 2.0) + np.minimum(most, margins[-1] + 2.0)) / 2
        return float(middle[np.abs(middle).argmin()])

    def _answering(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the margins in order, their gains, and the sum of F1 if the first 0, 1, ... are answered."""
        margins, gains = np.array(sorted(self._margins)).T
        return margins, gains, self._unanswered + np.concatenate([[0.0], np.cumsum(gains)])

    def wrong(self) -> tuple[Mistake, ...]:
        """Return the wrong answers, the most confident first."""
        return tuple(
            Mistake(int(row), str(sides[1]), str(sides[0]), float(size))
            for row, size, sides in self._worst.rows()
        )
