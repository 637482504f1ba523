"""The F1 of entities as a Keras metric, so that epochs are compared by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from kft.tasks.tags.scheme import OUTSIDE, scheme_of, split

__all__ = ["EntityF1"]


@keras.saving.register_keras_serializable(package="kft")
class EntityF1(keras.metrics.Mean):
    """The F1 over all entities, each right if its start, end and type are, as in seqeval.

    Each word has its most probable tag. For tags without entities, such as parts of speech, this is the
    accuracy of words.

    Args:
        tags: All tags, in the order of their numbers.
    """

    def __init__(self, tags: Sequence[str], name: str = "f1", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.tags = tuple(tags)

    @cached_property
    def _table(self) -> _Table:
        return _Table.of(self.tags)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch; tokens that begin no word do not count."""
        y_true = ops.cast(y_true, "int32")
        is_word = y_true >= 0
        none = len(self.tags)
        answers = ops.cast(ops.argmax(y_pred[..., :-2], axis=-1), "int32")
        # Move the words of a text together, so that an entity continues across the pieces of a word.
        length = ops.shape(y_true)[1]
        order = ops.argsort(ops.where(is_word, 0, length) + ops.arange(length, dtype="int32"))
        truth, found = (
            _entities(
                self._table, ops.take_along_axis(ops.where(is_word, one, none), order, axis=1)
            )
            for one in (y_true, answers)
        )
        right = ops.all(ops.equal(truth, found), axis=0) & (truth[0] >= 0)
        counts = [ops.cast(ops.sum(one[0] >= 0, axis=1), self.dtype) for one in (truth, found)]
        both = counts[0] + counts[1]
        score = 2 * ops.cast(ops.sum(right, axis=1), self.dtype) / ops.maximum(both, 1)
        return super().update_state(score, sample_weight=both)

    def get_config(self) -> dict:
        """Return the arguments, for Keras' serialisation."""
        return {**super().get_config(), "tags": list(self.tags)}


@dataclass(frozen=True, eq=False)
class _Table:
    """Properties of the tags, by their numbers; the last entry is for padding, which ends an entity.

    Attributes:
        kinds: The number of its type.
        named: Whether it belongs to an entity.
        inside: Whether it can continue the entity before it.
        open: Whether the next word can continue its entity.
    """

    kinds: np.ndarray
    named: np.ndarray
    inside: np.ndarray
    open: np.ndarray

    @classmethod
    def of(cls, tags: Sequence[str]) -> Self:
        is_entity = bool(scheme_of(tags, "`tags`").prefixes)
        parts = [split(tag) if is_entity else ("S", tag) for tag in tags]
        letters = np.array([*(letter for letter, _ in parts), OUTSIDE])
        kinds = [*(kind for _, kind in parts), ""]
        return cls(
            kinds=np.array([kinds.index(kind) for kind in kinds], "int32"),
            named=letters != OUTSIDE,
            inside=np.isin(letters, ("I", "E")),
            open=np.isin(letters, ("B", "I")),
        )


def _entities(table: _Table, tags: Any) -> Any:
    """Return the type and end of the entity that begins at each word, or -1; `[2, n, words]`."""
    none = len(table.kinds) - 1
    before = ops.pad(tags[:, :-1], [[0, 0], [1, 0]], constant_values=none)
    kind, kind_before = (ops.take(table.kinds, one) for one in (tags, before))
    goes_on = ops.take(table.open, before) & ops.take(table.inside, tags)
    goes_on &= ops.equal(kind, kind_before)
    begins = ops.take(table.named, tags) & ~goes_on
    places = ops.arange(ops.shape(tags)[1], dtype="int32")
    is_end = (places[None, :] > places[:, None]) & ~goes_on[:, None, :]
    ends = ops.min(ops.where(is_end, places, ops.shape(tags)[1]), axis=-1)
    return ops.where(begins, ops.stack([kind, ends]), -1)
