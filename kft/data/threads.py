"""The same small work on many items, in threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from kft.backends.cores import cores

T = TypeVar("T")


def map_in_threads(function: Callable[[Any], T], items: Sequence[Any] | np.ndarray) -> list[T]:
    """`function` of each item, in their order, for work that lets go of the interpreter's lock.

    A thread takes up to 64 items at a time: a future for each, all of them at once, would take memory
    in proportion to the items, of 64,000 files 60 MB.

    Raises:
        Exception: what the function raised first.
    """
    threads = min(16, 2 * cores())
    size = max(1, min(64, len(items) // (4 * threads)))
    parts = (items[start : start + size] for start in range(0, len(items), size))
    pool = ThreadPoolExecutor(threads)
    try:
        done = pool.map(lambda part: [function(item) for item in part], parts)
        return [result for part in done for result in part]
    finally:  # after an error, or when a signal ends the run, the rest is not waited for
        pool.shutdown(cancel_futures=True)
