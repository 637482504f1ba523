"""A thread pool that starts on first use."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class LazyThreads:
    """A thread pool that starts on the first call, shared by an object and its copies.

    Args:
        count: The number of threads.
        name: The prefix of their names.
    """

    def __init__(self, count: int, name: str) -> None:
        self.count, self._name = count, name
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Call a function in one of the threads."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.count, thread_name_prefix=self._name)
            return self._pool.submit(function, *arguments)

    def close(self) -> None:
        """Wait for submitted calls, and end the threads."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
