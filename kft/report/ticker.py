"""A thread that calls a function every second, to redraw a line while nothing else happens."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ticker:
    """Call a function every second between `start` and `stop`, in a thread.

    Args:
        draw: The function.
        every: Seconds between two calls.
    """

    def __init__(self, draw: Callable[[], None], every: float = 1.0) -> None:
        self._draw, self._every = draw, every
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it is running."""
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._run, name="kft-ticker", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; no call of the function follows."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self._draw()
