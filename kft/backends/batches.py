"""What a training function is given: reading it without a step, and inputs put together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


def read_and_drop(iterator: Iterator[Any], count: int) -> Any:
    """Read as many batches as one call of a training function takes, and return the first.

    Args:
        iterator: What the training function is given.
        count: How many batches a call takes; fewer may be left.
    """
    batch = next(iterator)
    with contextlib.suppress(StopIteration):
        for _ in range(count - 1):
            next(iterator)
    return batch


def joined_inputs(first: Any, others: list[Any]) -> Any:
    """Return inputs as a model takes them: one alone, or a list."""
    return [first, *others] if others else first
