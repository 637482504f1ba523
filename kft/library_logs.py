"""Logs of C++ libraries on standard error, which the command line can suppress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

_aside: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext


def leave_out(aside: Callable[[], AbstractContextManager[None]]) -> None:
    """Suppress known logs of libraries.

    Args:
        aside: Returns a context in which such lines do not reach standard error.
    """
    global _aside
    _aside = aside


@contextlib.contextmanager
def library_logs() -> Iterator[None]:
    """Run code that makes a library log, which is shown unless the command line suppresses it."""
    with _aside():
        yield
