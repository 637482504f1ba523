"""Tagging of the words of a text, such as named entity recognition and part-of-speech tagging."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import keras
import numpy as np

from kft.answers import Ops
from kft.arguments import is_number, shown
from kft.data.group_numbers import group_numbers
from kft.data.parts import Piece, as_piece
from kft.data.raw_labels import RawLabels, ReadTargets, Targets
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.tasks.evaluation.figures import Better
from kft.tasks.evaluation.tagging_scorer import TaggingScorer
from kft.tasks.linear import Softmax, Solved, solve
from kft.tasks.predictions import EntityPredictions
from kft.tasks.tags.entity_f1 import EntityF1
from kft.tasks.tags.files import READERS, joined
from kft.tasks.tags.labels import labelled, numbered
from kft.tasks.tags.layers import NOT_A_WORD, TagAccuracy, TagCrossEntropy, WithPlaces
from kft.tasks.tags.pieces import own_rows
from kft.tasks.tags.scheme import scheme_of
from kft.tasks.tags.words import ENDS, STARTS
from kft.tasks.task import Task

if TYPE_CHECKING:
    from kft.data.examples import Examples


@dataclass(frozen=True, kw_only=True, repr=False)
class Tagging(Task):
    """A tag for each word: named entities in BIO, BIOES or IO, or tags such as parts of speech.

    The names of the tags determine the scheme. The first token of a word carries its tag; the others
    count in neither loss nor figures.

    Data are `(texts, tags)`, where a text is a string or a list of words, and its label a list of tags,
    one per word, or of entities `(start, end, type)` in characters; CoNLL files; JSON of texts with
    entities; or tables with whitespace-separated words and tags in two columns.

    Args:
        tags: All tags. Defaults to those of the training data, completed with the other tags of the
            scheme for each entity type.
        dropout: Dropout rate before the scores. Defaults to 0.1.
        label_smoothing: Fraction of each target spread over all tags. Defaults to 0.

    Raises:
        InputError: If an argument is out of range, or the tags have no known scheme.

    Example:

    ```python
    recipe = BertRecipe("bert_base_en_uncased", task=kft.tasks.Tagging())
    run = recipe.fit("train.conll", "dev.conll", run_dir="runs/entities")
    print(recipe.predict("Ada Lovelace was born in London."))
    ```
    """

    name: ClassVar[str] = "tagging"
    needs: ClassVar[str] = "words"
    objective: ClassVar[tuple[str, Literal["max", "min"]]] = ("val_f1", "max")
    directions: ClassVar[Mapping[str, Better]] = {"accuracy": "max", "f1": "max"}
    example_classes: ClassVar[tuple[str, ...] | None] = ("O", "B-PER", "I-PER")
    joins_pieces: ClassVar[bool] = True

    tags: tuple[str, ...] | None = field(default=None, kw_only=False)
    dropout: float = 0.1
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("dropout", "label_smoothing"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value < 1:
                raise InputError(f"`{name}={shown(value)}` is not a fraction: pass 0 to below 1.")
        if self.tags is not None:
            tags = self.checked_classes(self.tags, "`tags`")
            scheme_of(tags, "`tags`")
            object.__setattr__(self, "tags", tuple(tags))

    # From words and tags to targets.

    @property
    def files(self) -> Mapping[str, Callable[[Path, str], ReadFile]]:
        """The readers of CoNLL files and JSON."""
        return READERS

    def as_input(self, value: Any) -> Any:
        """Join a list of words into a text."""
        is_list = isinstance(value, list | tuple | np.ndarray)
        return joined(list(value)) if is_list else value

    def for_classes(self, classes: Any) -> Self:
        """Return the task with the tags of the training data."""
        return self if classes is None or self.tags is not None else replace(self, tags=classes)

    def agreed_classes(self, classes: Any, source: str) -> tuple[str, ...] | None:
        """Return the tags to use; those of the data must be among the task's."""
        if self.tags is None or classes is None:
            return self.tags if classes is None else tuple(classes)
        if not set(classes) <= set(self.tags):
            unknown = sorted(set(classes) - set(self.tags))
            raise InputError(
                f"{source} has the tags {', '.join(map(repr, unknown[:5]))}, which `tags` does not name: "
                "add them, or leave `tags` out."
            )
        return self.tags

    def targets(self, raw: RawLabels, classes: Any = None) -> ReadTargets:
        """Turn tags and entities into one row per word: its first byte and its class number."""
        found, reasons = labelled(raw)
        try:
            rows, known = numbered(found, reasons, raw, classes or self.tags)
        except InputError as error:
            if not reasons:
                raise
            return ReadTargets(reasons, partial(_refuse, error))  # once the bad texts are named
        return ReadTargets(
            reasons, lambda kept: Targets(rows if kept is None else rows[kept], known)
        )

    def groups(self, inputs: Any, rows: Any) -> np.ndarray | None:
        """Return a number for each text, whose pieces stay together; None if no text is cut."""
        if not any(as_piece(text).offset for text in inputs):
            return None
        return group_numbers(as_piece(text).whole for text in inputs)

    def of_piece(self, row: np.ndarray, piece: Piece) -> np.ndarray:
        """Return the tags of the words that are nearer to the middle of this piece than of another."""
        return own_rows(row, piece)

    def renumbered(self, rows: Any, old: Any, new: Any, source: str) -> Any:
        """Renumber rows, which were read with their own tags, by the tags of the training."""
        if old is None or tuple(old) == tuple(new):
            return rows
        missing = sorted({old[n] for row in rows for n in row[:, 1]} - set(new))
        if missing:
            raise InputError(
                f"{source} has the tag {missing[0]!r:.60}, which was not seen in training: read the data "
                "with classes=... to convert its tags to the scheme of the training data."
            )
        numbers = np.array([new.index(tag) if tag in new else 0 for tag in old], np.int32)
        made = np.empty(len(rows), object)
        made[:] = [np.stack([row[:, 0], numbers[row[:, 1]]], axis=1) for row in rows]
        return made

    def counts(self, rows: Any, classes: Any) -> dict[str, int]:
        """Return the number of entities of each type, or of words with each tag."""
        if not classes:
            return {}
        scheme = scheme_of(classes, "the recipe")
        found = dict.fromkeys(scheme.types(classes), 0)
        for row in rows:
            for _, _, kind in scheme.spans([classes[n] for n in row[:, 1]]):
                found[kind] += 1
        return found

    def label(self, row: Any, classes: Any) -> str:
        """Return the tags of a text."""
        listed = " ".join(classes[n] for n in row[:12, 1])
        return listed if len(row) <= 12 else f"{listed} ..."

    def collate(self, rows: Any, inputs: Any) -> np.ndarray:
        """Return the tag of each token that begins a word, and -1 elsewhere, int32 `[batch, length]`.

        The first token, which begins no word, has -1 minus the number of words that were cut off.
        """
        starts = np.asarray(inputs[STARTS])
        made = np.full(starts.shape, NOT_A_WORD, np.int32)
        for place, row in enumerate(rows):
            tokens = np.flatnonzero(starts[place] >= 0)
            bytes_ = starts[place, tokens]
            at = np.searchsorted(bytes_, row[:, 0])
            there = at < len(tokens)
            there[there] = bytes_[at[there]] == row[there, 0]
            made[place, tokens[at[there]]] = row[there, 1]
            made[place, 0] = NOT_A_WORD - np.count_nonzero(~there)
        return made

    # The model.

    @property
    def _known(self) -> tuple[str, ...]:
        if self.tags is None:
            raise InputError(
                "the tags are not known before data are read: call `fit` first, or pass them, such as "
                'Tagging(("O", "B-PER", "I-PER")).'
            )
        return self.tags

    def head(self, features: Any, inputs: Any) -> Any:
        """Add dropout and the scores of the tags, followed by the positions of the words.

        Returns:
            float32 `(batch, length, tags + 2)`: probabilities, and the bytes at which the word that
            begins with the token starts and ends, -1 if none does.
        """
        x = features["tokens"]
        if self.dropout:
            name = self.named("head_dropout")
            x = keras.layers.Dropout(self.dropout, seed=self.seed, name=name)(x)
        x = keras.layers.Dense(
            len(self._known),
            kernel_initializer=keras.initializers.GlorotUniform(seed=self.seed),
            dtype="float32",
            name=self.named("predictions"),
        )(x)
        x = keras.layers.Activation("softmax", dtype="float32", name=self.named("scores"))(x)
        layer = WithPlaces(dtype="float32", name=self.named("words"))
        return layer([x, features[STARTS], features[ENDS]])

    def solves(self, model: keras.Model, features: Any) -> bool:
        """Return whether only dropout lies between the features and the last Dense layer."""
        last = next((one for one in model.layers if one.name == self.named("predictions")), None)
        if not isinstance(last, keras.layers.Dense):
            return False
        try:
            between = keras.Model(features["tokens"], last.output).layers
        except ValueError:  # the layer does not depend on the features alone
            return False
        passing = (keras.layers.InputLayer, keras.layers.Dropout)
        return all(layer is last or isinstance(layer, passing) for layer in between)

    def solver_rows(self, features: Any, targets: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the features of the tokens that begin words, `[m, channels]`, and their tags `[m]`."""
        chosen = np.asarray(targets) >= 0
        return np.asarray(features["tokens"], np.float32)[chosen], np.asarray(targets)[chosen]

    def solve(
        self,
        model: keras.Model,
        features: Any,
        targets: Any,
        *,
        weights: np.ndarray | None = None,
        seed: int = 0,
    ) -> dict[str, Solved]:
        """Solve the Dense layer on the features of words; see `kft.tasks.linear.solve`."""
        found = solve(features, targets, len(self._known), Softmax(), weights=weights, seed=seed)
        return {self.named("predictions"): found}

    def loss(self) -> keras.losses.Loss:
        """Return the mean cross-entropy over the words of a batch."""
        return TagCrossEntropy(label_smoothing=self.label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the accuracy of words and the F1 of entities."""
        return [TagAccuracy(), EntityF1(self.tags or ())]

    # The outcome.

    def scorer(self, classes: Sequence[str] | None) -> TaggingScorer:
        """Return a scorer of entities."""
        return self.scorer_of(None, classes)

    def scorer_of(self, examples: Examples | None, classes: Any) -> TaggingScorer:
        """Return a scorer of entities, which joins the pieces of long texts if it knows the examples."""
        texts = () if examples is None else examples.inputs
        return TaggingScorer(classes or self._known, self.name, texts)

    def predictions(
        self, names: Sequence[str], outputs: np.ndarray, classes: Sequence[str] | None
    ) -> EntityPredictions:
        """Return the entities of each text, whose pieces are joined."""
        return EntityPredictions.of(names, outputs, classes or self._known)

    def answer(self, outputs: Any, classes: Any, ops: Ops) -> dict[str, Any]:
        """Return the words of each text in order: `tags`, `scores`, `starts` and `ends`, `[n, length]`.

        Positions are bytes of the text in UTF-8. Rows are padded with empty tags, scores of 0, and -1.
        Each word has its most probable tag, even an I without a B before it.
        """
        order = ops.descending(ops.cast(outputs[..., -1] > 0, "float32"))
        starts, ends = (ops.take(outputs[..., at], order) for at in (-2, -1))
        is_word = ends > 0
        scores = outputs[..., :-2]
        best = ops.largest(scores)
        sure = ops.take(scores, best[..., None])[..., 0]
        tags = ops.take(ops.labels(classes or self._known, best), order)
        return {
            "tags": ops.where(is_word, tags, ""),
            "scores": ops.where(is_word, ops.take(sure, order), 0.0),
            "starts": ops.cast(ops.where(is_word, starts, -1.0), "int32"),
            "ends": ops.cast(ops.where(is_word, ends, -1.0), "int32"),
        }


def _refuse(error: InputError, kept: Any) -> Targets:
    raise error
