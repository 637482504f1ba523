"""The best answer to each question from a model's outputs, with the same code in a served graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.answers import NumpyOps, Ops
from kft.data.parts import as_piece, first_pieces

__all__ = ["Best", "best_spans", "merged"]

_NEVER = -1e9


@dataclass(frozen=True)
class Best:
    """The best answer to each of n questions.

    Attributes:
        starts: Its first byte in the context, `[n]`.
        ends: The byte after its last one, `[n]`.
        scores: Its log-probability, `[n]`; hugely negative if the context has no word.
        none: The log-probability of no answer, `[n]`.
    """

    starts: Any
    ends: Any
    scores: Any
    none: Any

    @property
    def margin(self) -> Any:
        """The log-probability of no answer minus that of this one, `[n]`."""
        return self.none - self.scores


def best_spans(outputs: Any, longest: int, ops: Ops) -> Best:
    """Return the most probable answers whose end is not before their start.

    Args:
        outputs: The model's outputs, `[n, length, 4]`: the log-probabilities of start and end, and the
            bytes at which the word that begins with the token starts and ends.
        longest: Maximum number of tokens in an answer.
        ops: The operations of the outputs' library.
    """
    start, end, first, last = (outputs[..., column] for column in range(4))
    none = start[..., 0] + end[..., 0]
    is_word = last > 0
    start, end = (ops.where(is_word, one, _NEVER) for one in (start, end))
    places = ops.descending(first * 0)  # 0, 1, 2, ...
    best, at = start + end, places
    for step in range(1, longest):
        there = places + step < ops.shape(start)[-1]
        moved = ops.where(there, places + step, 0)
        sums = ops.where(there, start + ops.take(end, moved), 2 * _NEVER)
        is_better = sums > best
        best, at = ops.where(is_better, sums, best), ops.where(is_better, moved, at)
    begins = ops.largest(best)[..., None]
    return Best(
        ops.take(first, begins)[..., 0],
        ops.take(last, ops.take(at, begins))[..., 0],
        ops.take(best, begins)[..., 0],
        none,
    )


def merged(texts: Sequence[str], best: Best) -> tuple[np.ndarray, Best]:
    """Return the index of each text's first piece, and the best answers merged over its pieces.

    A text has the most probable answer of its pieces, and their lowest probability of no answer.

    Args:
        texts: The texts, with the pieces of a text in succession.
        best: The best answers of all pieces, with positions within the piece.
    """
    offsets = np.array([as_piece(text).offset for text in texts], np.int64)
    begins = first_pieces(texts)
    owner = np.repeat(np.arange(len(begins)), np.diff([*begins, len(texts)]))
    order = np.lexsort((-np.asarray(best.scores), owner))  # the best piece of each text comes first
    chosen = order[begins]
    none = np.minimum.reduceat(best.none, begins) if len(begins) else best.none
    return begins, Best(
        np.asarray(best.starts)[chosen].astype(np.int64) + offsets[chosen],
        np.asarray(best.ends)[chosen].astype(np.int64) + offsets[chosen],
        np.asarray(best.scores)[chosen],
        none,
    )


def best_of(texts: Sequence[str], outputs: np.ndarray, longest: int) -> tuple[np.ndarray, Best]:
    """Return the merged best answers of texts from their outputs; see `merged`."""
    return merged(texts, best_spans(np.asarray(outputs, np.float32), longest, NumpyOps()))
