"""The protocol of scorers, which evaluate the outputs of a model batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from kft.errors import InputError
from kft.tasks.evaluation.base import Evaluation


@runtime_checkable
class Scorer(Protocol):
    """An accumulator of batches that returns an evaluation, in bounded memory; see `Task.scorer`.

    Example:

    ```python
    scorer = task.scorer(classes)
    for x, y in batches:
        scorer.update(y, model.predict_on_batch(x))
    evaluation = scorer.result()
    ```
    """

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch.

        Args:
            targets: The targets, an array `(n, ...)` or a tree of them.
            outputs: The outputs of the model for the same examples.
            rows: The positions of these examples in the data, if batches come in another order.
                Defaults to those after the last batch.

        Raises:
            InputError: If targets and outputs do not match each other or the task.
        """

    def result(self) -> Evaluation:
        """Return the evaluation of all batches; no more can be added.

        Raises:
            InputError: If there are no examples.
        """


class Places:
    """The positions of each batch's examples in the data."""

    def __init__(self) -> None:
        self._next = 0

    def of(self, rows: np.ndarray | None, outputs: Any) -> np.ndarray:
        """Return the positions of the next batch.

        Args:
            rows: The positions, if they are known.
            outputs: The outputs of the model for the batch, an array or a tree of them.

        Raises:
            InputError: If there are not as many positions as examples.
        """
        count = count_of(outputs)
        first, self._next = self._next, self._next + count
        if rows is None:
            return np.arange(first, first + count)
        if len(rows) != count:
            raise InputError(f"`rows` has {len(rows)} places for a batch of {count} examples.")
        return np.asarray(rows, np.int64)


def count_of(tree: Any) -> int:
    """Return the number of examples in an array or a tree of them."""
    if isinstance(tree, Mapping):
        return count_of(next(iter(tree.values()), ()))
    if isinstance(tree, tuple):
        return count_of(tree[0] if tree else [])
    return len(tree) if np.shape(tree) else 0


def need_examples(count: int) -> None:
    """Raise an `InputError` if there are no examples."""
    if not count:
        raise InputError("there is nothing to evaluate: pass at least one example.")


def compact(places: np.ndarray) -> range | np.ndarray:
    """Return increasing positions as a range, which takes no memory, if no example is missing."""
    count = len(places)
    return range(count) if np.array_equal(places, np.arange(count)) else places
