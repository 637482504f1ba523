"""F1 of entities as a metric of Keras, so that epochs can be compared by what a tagger is for."""

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
    """F1 over all entities, each right if both its ends and its type are, as seqeval counts.

    The tags are the most probable ones of each word. Where a tag stands for its word alone, this is the
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
        """Take over a batch; tokens that begin no word do not count."""
        y_true = ops.cast(y_true, "int32")
        is_word = y_true >= 0
        none = len(self.tags)
        answers = ops.cast(ops.argmax(y_pred[..., :-2], axis=-1), "int32")
        # The words of a text, one next to the other: entities go on over the pieces of a word.
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
        """The arguments, for Keras' serialisation."""
        return {**super().get_config(), "tags": list(self.tags)}


@dataclass(frozen=True, eq=False)
class _Table:
    """What each tag says, by its number; behind the tags stands one for what is no word.

    That one ends an entity and begins none.

    Attributes:
        kinds: A number for its type.
        named: Whether it is of an entity.
        inside: Whether it can continue the entity before it.
        open: Whether an entity can go on after it.
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
    """The type and the end of the entity that begins at each word, -1 where none does; `[2, n, words]`."""
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
