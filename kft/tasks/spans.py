"""Spans: the part of a context that answers a question."""

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
from kft.data.parts import as_piece, join_parts
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

if TYPE_CHECKING:
    from kft.data.examples import Examples

ANSWERED, UNANSWERED = "answered", "unanswered"


@dataclass(frozen=True, kw_only=True, repr=False)
class Spans(Task):
    """The part of a context that answers a question (extractive question answering).

    Data are questions with their contexts, and answers by their text and place; of several accepted
    answers the first one is trained on. Where training data have questions that their contexts do not
    answer, as in SQuAD 2, the model may answer with nothing.

    Args:
        longest: The most tokens of an answer. Defaults to 30.
        threshold: By how much the logarithm of the probability of no answer has to exceed that of the
            best one for the answer to be none. Defaults to 0; an evaluation tells the best.
        dropout: Fraction of the features dropped before the scores. Defaults to 0.1.

    Raises:
        InputError: If an argument is out of its range.

    Example:

    ```python
    recipe = BertRecipe("bert_base_en_uncased", task=kft.tasks.Spans())
    run = recipe.fit("train-v1.1.json", "dev-v1.1.json", run_dir="runs/answers")
    print(recipe.predict(("Where was Ada born?", "Ada Lovelace was born in London.")))
    ```
    """

    name: ClassVar[str] = "spans"
    needs: ClassVar[str] = "pairs"
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_accuracy", "max")
    directions: ClassVar[Mapping[str, Better]] = {"accuracy": "max"}
    input_parts: ClassVar[tuple[str, ...]] = INPUTS

    longest: int = 30
    threshold: float = 0.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_whole("longest", self.longest, "tokens")
        if not is_number(self.threshold) or not math.isfinite(self.threshold):
            raise InputError(f"`threshold={shown(self.threshold)}` is no finite number.")
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise InputError(
                f"`dropout={shown(self.dropout)}` is not a fraction: pass 0 to below 1."
            )

    # From questions and answers to targets.

    @property
    def files(self) -> Mapping[str, Callable[[Path, str], ReadFile]]:
        """SQuAD's JSON, JSON lines, and tables with the columns question, context and answer."""
        lines = dict.fromkeys((".jsonl", ".ndjson"), read_json_lines)
        return {
            ".json": read_squad,
            **lines,
            **dict.fromkeys((".csv", ".tsv", ".parquet"), read_table),
        }

    def as_inputs(self, values: Any) -> Any:
        """Return pairs of a question and its context, of `(questions, contexts)` or a single pair."""
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
        """Return why a text is no question with its context."""
        return problem_of(text)

    def groups(self, inputs: Any, rows: Any) -> np.ndarray:
        """Return a number for each context, so that a split has no context on both sides."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(context_of(text), len(numbers)) for text in inputs])

    def targets(self, raw: RawLabels, classes: Any = None) -> ReadTargets:
        """Turn answers into rows of places, see `kft.tasks.answering.labels.located`."""
        found, reasons = located(raw)
        known = (ANSWERED, UNANSWERED) if classes is None else tuple(classes)
        for index, row in enumerate(found):
            if UNANSWERED not in known and not is_answerable(row):
                said = "no answer, and the training data had none such: leave these questions out"
                reasons.setdefault(index, raw.said(said))

        def of(kept: np.ndarray | None) -> Targets:
            chosen = np.arange(len(found)) if kept is None else kept
            rows = np.empty(len(chosen), object)
            for place, index in enumerate(chosen):
                rows[place] = found[index]
            has_both = not all(map(is_answerable, rows))
            own = (ANSWERED, UNANSWERED) if has_both else (ANSWERED,)
            return Targets(rows, own if classes is None else known)

        return ReadTargets(reasons, of)

    def of_piece(self, row: np.ndarray, first: int, end: int) -> np.ndarray:
        """Return the row of a piece of a context; one without the whole answer trains on none."""
        return row_of_piece(row, first, end)

    def renumbered(self, rows: Any, old: Any, new: Any, source: str) -> Any:
        """Return the rows as they are, if the training knew questions without an answer too."""
        if new is not None and UNANSWERED not in new and not all(map(is_answerable, rows)):
            raise InputError(
                f"{source} has questions without an answer, but the training data had none: leave them "
                "out."
            )
        return rows

    def counts(self, rows: Any, classes: Any) -> dict[str, int]:
        """Return how many questions have an answer, and how many none."""
        answered = sum(map(is_answerable, rows))
        found = {ANSWERED: answered, UNANSWERED: len(rows) - answered}
        return {name: found[name] for name in classes or found}

    def label(self, row: Any, classes: Any) -> str:
        """Return the place of an answer."""
        first, end = row[0]
        return f"bytes {first} to {end}" if end > 0 else "no answer"

    def collate(self, rows: Any, inputs: Any) -> np.ndarray:
        """Return the tokens with which the first and the last word of each answer begin, `[batch, 2]`.

        The first token stands for no answer; -1 for one that was cut off.
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
        """Add dropout and two scores for each token, and behind them the places of its word.

        Returns:
            float32 `(batch, length, 4)`: the logarithms of the probabilities that the answer starts and
            ends with a word, which the first token has for no answer, and the bytes at which the word
            that a token begins starts and ends in the context, -1 where it begins none.
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
        """The mean of the cross-entropies of start and end."""
        return SpanCrossEntropy()

    def metrics(self) -> list[keras.metrics.Metric]:
        """How often both ends are right."""
        return [SpanAccuracy()]

    # The outcome.

    def scorer_of(self, examples: Examples | None, classes: Any) -> Scorer:
        """Return what compares answers in words, or the places alone where they are not known."""
        if examples is None:
            return self.scorer(classes)
        threshold = self._threshold(classes)
        return SpansScorer(examples, self.longest, threshold, self.name)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Any
    ) -> AnswerPredictions:
        """Return the answer to each question, of several pieces of a context the best one."""
        texts = [as_piece(name) for name in names]
        return AnswerPredictions.of(texts, outputs, self.longest, self._threshold(classes))

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return for each question `start` and `end`, in bytes of the context, and the `score`.

        Where there is no answer, both are -1, and the score is the probability of that.
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
        """Return the `answer` in words, cut out of the context; empty for none."""
        start, end = answer["start"], answer["end"]
        begins = ops.where(start > 0, start, 0)
        return {"answer": ops.cut(raw["context"], begins, ops.where(end > 0, end - begins, 0))}

    def _threshold(self, classes: Any) -> float:
        """The margin from which on there is no answer; infinite where there always is one."""
        return self.threshold if classes is not None and UNANSWERED in classes else math.inf
