"""Questions and contexts as one row of tokens, and long contexts in several pieces.

A text has the question on its first line, followed by the context. Their tokens are packed as
encoders are pretrained on pairs, `[CLS] question [SEP] context [SEP]`; positions of the context's
words are given in bytes of the context.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kft.data.examples import Examples
from kft.data.parts import SEPARATOR, Piece
from kft.data.trees import taken
from kft.recipe.token_graphs import graph
from kft.recipe.tokenization import LONGEST_TEXT
from kft.recipe.words import NOWHERE, split_parts, tokenized
from kft.tasks.tags.words import ENDS, STARTS

__all__ = ["Cutter", "pack_pairs"]

_AT_ONCE = 512  # texts measured per call


def pack_pairs(preprocessor: Any, texts: Any) -> dict[str, Any]:
    """Convert a string tensor `[n]` to the inputs of an encoder, and positions of the context's words.

    A question is cut to half of the tokens, or to what a shorter context leaves, and the context to
    what the question leaves.

    Args:
        preprocessor: A KerasHub preprocessor.
        texts: The texts, in UTF-8.

    Returns:
        `token_ids`, `padding_mask`, `segment_ids`; `word_starts` and `word_ends`, int32 `[n, length]`,
        the bytes of the context at which a part of it starts and ends, at the part's first token,
        otherwise -1. Parts are words and punctuation marks.
    """
    import tensorflow as tf
    import tensorflow_text as tf_text

    questions, contexts = _split(texts)
    parts, starts, ends = split_parts(contexts)
    context, placed = tokenized(preprocessor, parts)
    question = _cut_questions(preprocessor, questions, context)
    # Packing token numbers in the same way shows where each token is placed.
    first = preprocessor.tokenizer.vocabulary_size()
    size = tf.size(context.flat_values)
    numbers = context.with_flat_values(tf.cast(first + tf.range(size), question.dtype))
    question, numbers = tf_text.WaterfallTrimmer(_room(preprocessor)).trim([question, numbers])
    packed, segment_ids = preprocessor.packer((question, numbers))
    is_context = packed >= first
    at = tf.where(is_context, packed - first, tf.cast(size, packed.dtype))

    def of_tokens(values: Any, elsewhere: Any) -> Any:
        return tf.gather(tf.concat([values, [elsewhere]], 0), at)

    ids = of_tokens(context.flat_values, tf.zeros([], packed.dtype))
    token_ids = tf.where(is_context, ids, packed)
    made = {
        "token_ids": token_ids,
        "padding_mask": token_ids != preprocessor.tokenizer.pad_token_id,
        "segment_ids": segment_ids,
        STARTS: of_tokens(placed(starts.flat_values), NOWHERE),
        ENDS: of_tokens(placed(ends.flat_values), NOWHERE),
    }
    return {name: tf.cast(values, tf.int32) for name, values in made.items()}


class Cutter:
    """Cut contexts that are too long for a model into pieces that overlap by half.

    Args:
        preprocessor: A KerasHub preprocessor of the model's length.
    """

    def __init__(self, preprocessor: Any) -> None:
        self._graph = graph(_measure, preprocessor)

    def examples(self, examples: Examples) -> Examples:
        """Return examples with a row for each piece, whose targets the task makes.

        Args:
            examples: Texts, or pieces, which are returned unchanged.
        """
        if isinstance(examples.inputs[0], Piece):
            return examples
        pieces, owners = self._cut(examples.inputs)
        targets = taken(examples.targets, owners)
        counts = np.bincount(owners)
        for row in np.flatnonzero(counts[owners] > 1):
            size = len(pieces[row].partition(SEPARATOR)[2].encode())
            offset = pieces[row].offset
            targets[row] = examples.task.of_piece(targets[row], offset, offset + size)
        inputs = np.empty(len(pieces), object)
        inputs[:] = pieces
        return dataclasses.replace(examples.take(owners), inputs=inputs, targets=targets)

    def texts(self, texts: Sequence[str]) -> list[Piece]:
        """Return the pieces of texts, in their order."""
        return self._cut(texts)[0]

    def _cut(self, texts: Sequence[str]) -> tuple[list[Piece], np.ndarray]:
        """Return the pieces, and the index of each one's text."""
        pieces: list[Piece] = []
        owners: list[int] = []
        for start in range(0, len(texts), _AT_ONCE):
            some = [str(text) for text in texts[start : start + _AT_ONCE]]
            for index, (text, parts) in enumerate(zip(some, self._parts(some), strict=True)):
                found = _pieces(text, *parts)
                pieces += found
                owners += [start + index] * len(found)
        return pieces, np.array(owners)

    def _parts(self, texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield for each text the room for its context, and start, end and token count of each part."""
        import tensorflow as tf

        with tf.device("CPU"):
            rooms, parts, splits = (one.numpy() for one in self._graph(tf.constant(texts)))
        for room, first, end in zip(rooms, splits, splits[1:], strict=False):
            yield int(room), parts[first:end]


def _measure(preprocessor: Any, texts: Any) -> tuple[Any, Any, Any]:
    """Return the room for each context; start, end and token count of each part; and row splits."""
    import tensorflow as tf

    texts = tf.strings.substr(texts, 0, LONGEST_TEXT, unit="UTF8_CHAR")
    questions, contexts = _split(texts)
    parts, starts, ends = split_parts(contexts)
    tokens = preprocessor.tokenizer(parts.flat_values)
    context = parts.with_flat_values(tokens).merge_dims(1, 2)
    question = _cut_questions(preprocessor, questions, context)
    rooms = _room(preprocessor) - tf.cast(question.row_lengths(), tf.int32)
    each = [starts.flat_values, ends.flat_values, tf.cast(tokens.row_lengths(), tf.int32)]
    return rooms, tf.stack(each, axis=1), parts.row_splits


def _pieces(text: str, room: int, parts: np.ndarray) -> list[Piece]:
    """Return pieces of a text with at most `room` tokens, cut between parts."""
    total = np.cumsum(parts[:, 2])
    if not len(total) or total[-1] <= room:
        return [Piece(text, text)]
    question, _, context = text.partition(SEPARATOR)
    content = context.encode()
    made: list[Piece] = []
    first = 0
    while True:
        done = total[first] - parts[first, 2]
        end = max(first + 1, int(np.searchsorted(total, done + room, side="right")))
        offset = int(parts[first, 0]) if first else 0
        piece = content[offset : parts[end - 1, 1]].decode()
        made.append(Piece(f"{question}{SEPARATOR}{piece}", text, offset))
        if end == len(total):
            return made
        first = max(first + 1, int(np.searchsorted(total, done + room // 2)))


def _split(texts: Any) -> tuple[Any, Any]:
    """Return the questions and the contexts of texts, string tensors `[n]`."""
    import tensorflow as tf

    questions = tf.strings.regex_replace(texts, f"(?s){SEPARATOR}.*", "")
    first_line = f"^[^{SEPARATOR}]*{SEPARATOR}?"
    return questions, tf.strings.regex_replace(texts, first_line, "", replace_global=False)


def _cut_questions(preprocessor: Any, questions: Any, context: Any) -> Any:
    """Return the tokens of questions, cut to half of the room, or to what a shorter context leaves."""
    import tensorflow_text as tf_text

    room = _room(preprocessor)
    question = preprocessor.tokenizer(questions)
    _, question = tf_text.WaterfallTrimmer(room).trim([context[:, : room // 2], question])
    return question


def _room(preprocessor: Any) -> int:
    """Return the tokens of a row, without those for its start and the ends of its parts."""
    packer = preprocessor.packer
    marks = len(packer.start_value) + len(packer.sep_value) + len(packer.end_value)
    return preprocessor.sequence_length - marks
