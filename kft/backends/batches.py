"""Reading batches without a training step, and joining of inputs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


def read_and_drop(iterator: Iterator[Any], count: int) -> Any:
    """Read the batches of one call of a training function, and return the first.

    Args:
        iterator: The iterator passed to the training function.
        count: The number of batches per call; fewer may be left.
    """
    batch = next(iterator)
    with contextlib.suppress(StopIteration):
        for _ in range(count - 1):
            next(iterator)
    return batch


def joined_inputs(first: Any, others: list[Any]) -> Any:
    """Return inputs as a model takes them: a single one, or a list."""
    return [first, *others] if others else first
