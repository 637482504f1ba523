"""Lines that libraries in C++ write to standard error, which a command line may leave out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

_aside: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext


def leave_out(aside: Callable[[], AbstractContextManager[None]]) -> None:
    """Have what libraries are known to log left out.

    Args:
        aside: Makes a context in which such lines do not reach standard error.
    """
    global _aside
    _aside = aside


@contextlib.contextmanager
def library_logs() -> Iterator[None]:
    """Run what makes a library log; unless a command line leaves that out, it is shown."""
    with _aside():
        yield
