"""SIGTERM and SIGINT end a run where the same call goes on: at once, or after what must not be cut."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from kft.errors import Interrupted

_active: StopSignals | None = None  # those of the `Recipe.fit` that runs


class StopSignals:
    """Note SIGTERM and SIGINT while installed; a second one ends the process at once.

    Signals can be handled in the main thread alone; elsewhere nothing is installed.

    Attributes:
        received: the signal that came, None if none did.
        ending: says where the run stands, for a run that a signal ends at once; None while it has to
            wait for whoever looks at `received`.

    Args:
        at_once: whether a signal interrupts what is going on, rather than being noticed by `check`.
    """

    def __init__(self, at_once: bool = True) -> None:
        self.received: signal.Signals | None = None
        self.ending: Callable[[], str] | None = None
        self._at_once = at_once
        self._before: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Handle both signals from now on."""
        self.received = None
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)

    def remove(self) -> None:
        """Give both signals back to whoever handled them before.

        Of a fit that was dropped in the middle, the collector of garbage closes what is open, in
        whatever thread it runs. Then nothing happens: the next signal finds that nothing is fitted and
        gives both back itself.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def check(self) -> None:
        """End the run if a signal has come that could not end it at once.

        Raises:
            Interrupted: one has come, and nothing that must not be cut is going on.
        """
        if self.received is not None and self.ending is not None:
            end(self.received.name, self.ending())

    def _receive(self, number: int, frame: FrameType | None) -> None:
        received = signal.Signals(number)
        if self.received is not None or not (self is _active or _is_fitting(frame)):
            self.remove()
            os.kill(os.getpid(), number)
            return
        self.received = received
        if self._at_once:
            self.check()
        print(
            f"\n{received.name}: the run stops after this step, once its state is committed. Send it "
            "again to stop at once.",
            file=sys.stderr,
            flush=True,
        )


def end(name: str, standing: str) -> None:
    """Say where the run stands, and end it.

    Args:
        name: the signal's name.
        standing: a sentence on where the run stands.

    Raises:
        Interrupted: always.
    """
    message = f"{name}: {standing}"
    print(f"\n{message}", file=sys.stderr, flush=True)
    raise Interrupted(message)


@contextlib.contextmanager
def stoppable(standing: Callable[[], str], at_once: bool = True) -> Iterator[None]:
    """Handle both signals in a block: they end it at once, except within `put_off`.

    Args:
        standing: returns a sentence on where the run stands when a signal ends it.
        at_once: False for one of several processes that wait for the word of the first one.

    Raises:
        Interrupted: a signal has come.
    """
    global _active
    if _active is not None:
        yield
        return
    _active = StopSignals(at_once)
    _active.install()
    _active.ending = standing
    try:
        yield
        _active.check()
    finally:
        _active.remove()
        _active = None


@contextlib.contextmanager
def put_off() -> Iterator[StopSignals]:
    """Let signals wait while a block runs that must not be cut; it looks at `received` itself.

    Outside of `stoppable` the block handles them alone.
    """
    if _active is None:
        own = StopSignals()
        own.install()
        try:
            yield own
        finally:
            own.remove()
        return
    ending, _active.ending = _active.ending, None
    try:
        yield _active
    finally:
        if _active is not None:
            _active.ending = ending


def end_if_asked() -> None:
    """End the run of `stoppable` if a signal came while it was put off.

    Raises:
        Interrupted: one has come.
    """
    if _active is not None:
        _active.check()


def _is_fitting(frame: FrameType | None) -> bool:
    """Whether a `fit` is still running: one that has failed lets nobody take the handlers off."""
    while frame is not None:
        if frame.f_code.co_name in ("fit", "run_stages"):
            return True
        frame = frame.f_back
    return False
