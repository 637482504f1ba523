"""`Scorer`: from the outputs of a model, batch by batch, to an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from kft.errors import InputError
from kft.tasks.evaluation.base import Evaluation


@runtime_checkable
class Scorer(Protocol):
    """What `Task.scorer` returns; its memory does not grow with the examples.

    Example:

    ```python
    scorer = task.scorer(classes)
    for x, y in batches:
        scorer.update(y, model.predict_on_batch(x))
    evaluation = scorer.result()
    ```
    """

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Take over a batch.

        Args:
            targets: What the data say, an array `(n, ...)` or a tree of them.
            outputs: What the model puts out for the same examples.
            rows: The places of these examples in the data, where batches come in another order.
                Defaults to those after the last batch.

        Raises:
            InputError: If the two do not fit each other or the task.
        """

    def result(self) -> Evaluation:
        """Return the evaluation of all batches. No more can be added.

        Raises:
            InputError: If there was no example.
        """


class Places:
    """Where the examples of each batch lie in the data."""

    def __init__(self) -> None:
        self._next = 0

    def of(self, rows: np.ndarray | None, outputs: Any) -> np.ndarray:
        """Return the places of the next batch.

        Args:
            rows: The places if they are known.
            outputs: What a model puts out for the batch, an array or a tree of them.

        Raises:
            InputError: If there are not as many places as examples.
        """
        count = count_of(outputs)
        first, self._next = self._next, self._next + count
        if rows is None:
            return np.arange(first, first + count)
        if len(rows) != count:
            raise InputError(f"`rows` has {len(rows)} places for a batch of {count} examples.")
        return np.asarray(rows, np.int64)


def count_of(tree: Any) -> int:
    """Return how many examples an array, or a tree of them, has."""
    if isinstance(tree, Mapping):
        return count_of(next(iter(tree.values()), ()))
    if isinstance(tree, tuple):
        return count_of(tree[0] if tree else [])
    return len(tree) if np.shape(tree) else 0


def need_examples(count: int) -> None:
    """Refuse an evaluation of nothing."""
    if not count:
        raise InputError("there is nothing to evaluate: pass at least one example.")


def compact(places: np.ndarray) -> range | np.ndarray:
    """Return rising places as a range, which takes no memory, if they are those of all examples."""
    count = len(places)
    return range(count) if np.array_equal(places, np.arange(count)) else places
