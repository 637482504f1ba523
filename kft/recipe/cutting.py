"""Texts that are too long for a model, cut into pieces that overlap by half."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from kft.data.examples import Examples
from kft.data.parts import SEPARATOR, Piece
from kft.data.trees import taken
from kft.recipe.token_graphs import graph
from kft.recipe.tokenization import LONGEST_TEXT

__all__ = ["Cutter"]

_AT_ONCE = 1 << 22  # bytes tokenized per call, each of which needs about sixty bytes of memory
_MARKS = 8  # at most: tokens that begin, separate and end the parts of a text
_TOKENS_PER_BYTE = 2  # at most: a letter can decompose into more letters than it has bytes


class Cutter:
    """Cut texts into pieces that fit into a model.

    Args:
        preprocessor: A KerasHub preprocessor of the model's length.
        measure: Returns where texts may be cut, in graph ops, given the preprocessor and a string tensor
            `[n]`: the tokens that there is room for, int32 `[n]`; first byte, byte after the last one
            and tokens of each part that is not divided, `[parts, 3]`; and the row splits of these.
        begins: Whether each piece begins with the first line of its text, a question.
    """

    def __init__(
        self, preprocessor: Any, measure: Callable[[Any, Any], Any], *, begins: bool
    ) -> None:
        self._preprocessor, self._measure, self._begins = preprocessor, measure, begins
        self._fits = (preprocessor.sequence_length - _MARKS) // _TOKENS_PER_BYTE  # bytes

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
            targets[row] = examples.task.of_piece(targets[row], pieces[row])
        inputs = np.empty(len(pieces), object)
        inputs[:] = pieces
        return dataclasses.replace(examples.take(owners), inputs=inputs, targets=targets)

    def texts(self, texts: Sequence[str]) -> list[Piece]:
        """Return the pieces of texts, in their order."""
        return self._cut(texts)[0]

    def _cut(self, texts: Sequence[str]) -> tuple[list[Piece], np.ndarray]:
        """Return the pieces, and the index of each one's text."""
        some = [str(text) for text in texts]
        found = [[Piece(text, text)] for text in some]
        # Most texts are short, and tokenizing takes a while.
        sizes = [len(text.encode()) for text in some]
        long = [at for at, size in enumerate(sizes) if size > self._fits]
        call = np.cumsum([sizes[at] for at in long]) // _AT_ONCE
        for rows in np.split(np.array(long, np.int64), np.flatnonzero(np.diff(call)) + 1):
            measured = self._measured([some[at] for at in rows])
            for at, (room, units) in zip(rows, measured, strict=True):
                found[at] = self._pieces(some[at], room, units)
        owners = np.repeat(np.arange(len(found)), [len(one) for one in found])
        return [piece for one in found for piece in one], owners

    def _measured(self, texts: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield for each text its room, and start, end and token count of what is not divided."""
        if not texts:
            return
        import tensorflow as tf

        with tf.device("CPU"):
            measure = graph(self._measure, self._preprocessor)
            whole = tf.constant([text[:LONGEST_TEXT] for text in texts])
            rooms, units, splits = (one.numpy() for one in measure(whole))
        for room, first, end in zip(rooms, splits, splits[1:], strict=False):
            yield int(room), units[first:end]

    def _pieces(self, text: str, room: int, units: np.ndarray) -> list[Piece]:
        """Return pieces of a text with at most `room` tokens, cut between units."""
        windows = _windows(units[:, 2], room)
        if len(windows) < 2:
            return [Piece(text, text)]
        line, separator, _ = text.partition(SEPARATOR) if self._begins else ("", "", "")
        begin = f"{line}{separator}"
        content = text[len(begin) :].encode()
        middles = [
            int(units[(first + end) // 2, 0])
            for (_, end), (first, _) in itertools.pairwise(windows)
        ]
        made = []
        for (first, end), own in zip(
            windows, zip([0, *middles], [*middles, sys.maxsize], strict=True), strict=True
        ):
            offset = int(units[first, 0]) if first else 0
            piece = content[offset : units[end - 1, 1]].decode()
            made.append(Piece(f"{begin}{piece}", text, offset, own))
        return made


def _windows(tokens: np.ndarray, room: int) -> list[tuple[int, int]]:
    """Return the first unit of each window of at most `room` tokens, and the one after its last."""
    total = np.cumsum(tokens)
    if not len(total) or total[-1] <= room:
        return [(0, len(total))]
    made = []
    first = 0
    while True:
        done = total[first] - tokens[first]
        end = max(first + 1, int(np.searchsorted(total, done + room, side="right")))
        made.append((first, end))
        if end == len(total):
            return made
        first = max(first + 1, int(np.searchsorted(total, done + room // 2)))
