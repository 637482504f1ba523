"""Extractive question answering: the span of a context that answers a question."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import keras
import numpy as np

from kft.answers import Ops
from kft.arguments import check_whole, is_number, shown
from kft.data.group_numbers import group_numbers
from kft.data.parts import SEPARATOR, Piece, as_piece, join_parts
from kft.data.raw_labels import RawLabels, ReadTargets, Targets
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.tasks.answering.best import best_spans
from kft.tasks.answering.files import INPUTS, read_json_lines, read_squad, read_table
from kft.tasks.answering.labels import (
    context_of,
    is_answerable,
    located,
    problem_of,
    row_of_piece,
)
from kft.tasks.answering.layers import NOT_THERE, SpanAccuracy, SpanCrossEntropy, SpanScores
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.scorer import Scorer
from kft.tasks.evaluation.spans_scorer import SpansScorer
from kft.tasks.predictions import AnswerPredictions
from kft.tasks.tags.words import ENDS, STARTS
from kft.tasks.task import Task
from kft.tasks.thresholds import FoundThreshold

if TYPE_CHECKING:
    from kft.data.examples import Examples

ANSWERED, UNANSWERED = "answered", "unanswered"


@dataclass(frozen=True, kw_only=True, repr=False)
class Spans(FoundThreshold, Task):
    """Extractive question answering: find the span of a context that answers a question.

    Data are questions with contexts, and answers by text and position; if several answers are accepted,
    training uses the first. If training data contain unanswerable questions, as SQuAD 2 does, the model
    may give no answer.

    Args:
        longest: Maximum number of tokens in an answer. Defaults to 30.
        threshold: How far the log-probability of no answer must exceed that of the best answer for the
            model to give none. Defaults to None: each fit finds it on its validation data, see
            `SpansEvaluation.safe_threshold`; until then, and without unanswerable questions there, 0.
        found_threshold: The threshold that a fit found, which sets it. Defaults to None.
        dropout: Dropout rate before the scores. Defaults to 0.1.

    Raises:
        InputError: If an argument is out of range.

    Example:

    ```python
    recipe = BertRecipe("bert_base_en_uncased", task=kft.tasks.Spans())
    run = recipe.fit("train-v1.1.json", "dev-v1.1.json", run_dir="runs/answers")
    print(recipe.predict(("Where was Ada born?", "Ada Lovelace was born in London.")))
    ```
    """

    name: ClassVar[str] = "spans"
    set_by_recipe: ClassVar[tuple[str, ...]] = (*Task.set_by_recipe, "found_threshold")
    usual_threshold: ClassVar[float] = 0.0
    needs: ClassVar[str] = "pairs"
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_accuracy", "max")
    directions: ClassVar[Mapping[str, Better]] = {"accuracy": "max"}
    input_parts: ClassVar[tuple[str, ...]] = INPUTS

    longest: int = 30
    threshold: float | None = None
    found_threshold: float | None = None
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_whole("longest", self.longest, "tokens")
        for name in ("threshold", "found_threshold"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and math.isfinite(value)):
                raise InputError(f"`{name}={shown(value)}` is not a finite number.")
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise InputError(
                f"`dropout={shown(self.dropout)}` is not a fraction: pass 0 to below 1."
            )

    # From questions and answers to targets.

    @property
    def files(self) -> Mapping[str, Callable[[Path, str], ReadFile]]:
        """The readers of SQuAD's JSON, JSON lines, and tables of questions, contexts and answers."""
        lines = dict.fromkeys((".jsonl", ".ndjson"), read_json_lines)
        return {
            ".json": read_squad,
            **lines,
            **dict.fromkeys((".csv", ".tsv", ".parquet"), read_table),
        }

    def as_inputs(self, values: Any) -> Any:
        """Return `(questions, contexts)`, or a single pair, as a list of pairs."""
        if isinstance(values, Mapping) and set(values) == set(INPUTS):
            values = tuple(values[name] for name in INPUTS)
        if not isinstance(values, tuple) or len(values) != len(INPUTS):
            return values
        if all(isinstance(one, str) for one in values):
            return [values]
        if any(isinstance(one, str | tuple | Mapping) for one in values):
            return values
        counts = [len(one) for one in values]
        if len(set(counts)) > 1:
            raise InputError(f"{counts[0]} questions, but {counts[1]} contexts: pass one for each.")
        return list(zip(*values, strict=True))

    def as_input(self, value: Any) -> Any:
        """Return a pair, or a dict of `question` and `context`, as one text."""
        if isinstance(value, Mapping):
            value = tuple(value.get(name) for name in INPUTS)
        is_pair = isinstance(value, list | tuple | np.ndarray) and len(value) == len(INPUTS)
        return join_parts(value) if is_pair and all(isinstance(s, str) for s in value) else value

    def input_problem(self, text: str) -> str:
        """Return why a text is not a question with its context; an empty string if it is."""
        return problem_of(text)

    def groups(self, inputs: Any, rows: Any) -> np.ndarray:
        """Return a number for each context, so that no context is on both sides of a split."""
        return group_numbers(context_of(text) for text in inputs)

    def targets(self, raw: RawLabels, classes: Any = None) -> ReadTargets:
        """Turn answers into rows of byte positions; see `kft.tasks.answering.labels.located`."""
        found, reasons = located(raw)
        known = (ANSWERED, UNANSWERED) if classes is None else tuple(classes)
        for index, row in enumerate(found):
            if UNANSWERED not in known and not is_answerable(row):
                reason = "no answer, and the training data had no such questions: leave them out"
                reasons.setdefault(index, raw.with_column(reason))

        def of(kept: np.ndarray | None) -> Targets:
            chosen = np.arange(len(found)) if kept is None else kept
            rows = np.empty(len(chosen), object)
            for place, index in enumerate(chosen):
                rows[place] = found[index]
            has_both = not all(map(is_answerable, rows))
            own = (ANSWERED, UNANSWERED) if has_both else (ANSWERED,)
            return Targets(rows, own if classes is None else known)

        return ReadTargets(reasons, of)

    def of_piece(self, row: np.ndarray, piece: Piece) -> np.ndarray:
        """Return the row of a piece of a context; a piece without the whole answer trains on no answer."""
        size = len(piece.partition(SEPARATOR)[2].encode())
        return row_of_piece(row, piece.offset, piece.offset + size)

    def renumbered(self, rows: Any, old: Any, new: Any, source: str) -> Any:
        """Return the rows unchanged, after a check that training can handle unanswerable questions."""
        if new is not None and UNANSWERED not in new and not all(map(is_answerable, rows)):
            raise InputError(
                f"{source} has questions without an answer, but the training data had none: leave them "
                "out."
            )
        return rows

    def counts(self, rows: Any, classes: Any) -> dict[str, int]:
        """Return the number of questions with and without an answer."""
        answered = sum(map(is_answerable, rows))
        found = {ANSWERED: answered, UNANSWERED: len(rows) - answered}
        return {name: found[name] for name in classes or found}

    def label(self, row: Any, classes: Any) -> str:
        """Return the position of an answer, in words."""
        first, end = row[0]
        return f"bytes {first} to {end}" if end > 0 else "no answer"

    def collate(self, rows: Any, inputs: Any) -> np.ndarray:
        """Return the first tokens of the first and last word of each answer, `[batch, 2]`.

        The first token of a text, 0, stands for no answer, and -1 for an answer that was cut off.
        """
        starts, ends = (np.asarray(inputs[name]) for name in (STARTS, ENDS))
        places = np.stack([row[0] for row in rows])
        is_word = ends > 0
        begins = is_word & (starts <= places[:, :1]) & (ends > places[:, :1])
        stops = is_word & (starts < places[:, 1:]) & (ends >= places[:, 1:])
        found = np.stack([begins.argmax(axis=1), stops.argmax(axis=1)], axis=1).astype(np.int32)
        there = begins.any(axis=1) & stops.any(axis=1)
        found[~there] = NOT_THERE
        found[places[:, 1] < 0] = 0
        return found

    # The model.

    def head(self, features: Any, inputs: Any) -> Any:
        """Add dropout and two scores per token, followed by the position of its word.

        Returns:
            float32 `(batch, length, 4)`: the log-probabilities that the answer starts and ends with the
            word, where the first token stands for no answer; and the bytes of the context at which the
            word that begins with the token starts and ends, -1 if none does.
        """
        x = features["tokens"]
        if self.dropout:
            name = self.named("head_dropout")
            x = keras.layers.Dropout(self.dropout, seed=self.seed, name=name)(x)
        x = keras.layers.Dense(
            2,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self.seed),
            dtype="float32",
            name=self.named("predictions"),
        )(x)
        layer = SpanScores(dtype="float32", name=self.named("spans"))
        return layer([x, features[STARTS], features[ENDS]])

    def loss(self) -> keras.losses.Loss:
        """Return the mean of the cross-entropies of start and end."""
        return SpanCrossEntropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the fraction of answers with both ends right."""
        return [SpanAccuracy()]

    # The outcome.

    def scorer_of(self, examples: Examples | None, classes: Any) -> Scorer:
        """Return a scorer of answer texts, or of positions alone if the examples are not known."""
        if examples is None:
            return self.scorer(classes)
        threshold = self._threshold(classes)
        return SpansScorer(examples, self.longest, threshold, self.name)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Any
    ) -> AnswerPredictions:
        """Return the answer to each question, the best one over all pieces of its context."""
        texts = [as_piece(name) for name in names]
        return AnswerPredictions.of(texts, outputs, self.longest, self._threshold(classes))

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return for each question `start` and `end`, in bytes of the context, and the `score`.

        Without an answer, both are -1, and the score is the probability of no answer.
        """
        best = best_spans(outputs, self.longest, ops)
        is_none = best.margin > self._threshold(classes)
        is_none |= best.ends <= 0
        return {
            "start": ops.cast(ops.where(is_none, -1.0, best.starts), "int32"),
            "end": ops.cast(ops.where(is_none, -1.0, best.ends), "int32"),
            "score": math.e ** ops.where(is_none, best.none, best.scores),
        }

    def quote(self, answer: Mapping[str, Any], raw: Mapping[str, Any], ops: Ops) -> dict[str, Any]:
        """Return the text of the `answer`, cut out of the context; empty if there is none."""
        start, end = answer["start"], answer["end"]
        begins = ops.where(start > 0, start, 0)
        return {"answer": ops.cut(raw["context"], begins, ops.where(end > 0, end - begins, 0))}

    def _threshold(self, classes: Any) -> float:
        """Return the margin above which there is no answer; infinite if there always is one."""
        return self.known_threshold if UNANSWERED in (classes or ()) else math.inf
