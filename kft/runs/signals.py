"""Handling of SIGTERM and SIGINT, which end a run where the same call can resume it."""

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

_active: StopSignals | None = None  # the handlers of the running `Recipe.fit`


class StopSignals:
    """Handlers of SIGTERM and SIGINT; a second signal ends the process at once.

    Signals can be handled only in the main thread; elsewhere nothing is installed.

    Attributes:
        received: the signal that was received, or None.
        ending: describes the state of a run that a signal may end; None while the signal must wait
            until `received` is checked.

    Args:
        at_once: whether a signal interrupts the running code; otherwise only `check` ends the run.
    """

    def __init__(self, at_once: bool = True) -> None:
        self.received: signal.Signals | None = None
        self.ending: Callable[[], str] | None = None
        self._at_once = at_once
        self._before: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Install the handlers of both signals."""
        self.received = None
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)

    def remove(self) -> None:
        """Restore the earlier handlers of both signals.

        Garbage collection of an abandoned fit may call this in any thread. Outside of the main thread
        it does nothing: the next signal finds that no fit is running and restores the handlers itself.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def check(self) -> None:
        """End the run if a signal was received that could not end it at once.

        Raises:
            Interrupted: a signal was received, and the run may end now.
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
    """Print the state of the run, and end it.

    Args:
        name: the signal's name.
        standing: a sentence on the state of the run.

    Raises:
        Interrupted: always.
    """
    message = f"{name}: {standing}"
    print(f"\n{message}", file=sys.stderr, flush=True)
    raise Interrupted(message)


@contextlib.contextmanager
def stoppable(standing: Callable[[], str], at_once: bool = True) -> Iterator[None]:
    """Handle both signals in a block: they end it at once, except within `deferred_signals`.

    Args:
        standing: returns a sentence on the state of the run when a signal ends it.
        at_once: False for one of several processes, which ends only when the first one decides.

    Raises:
        Interrupted: a signal was received.
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
def deferred_signals() -> Iterator[StopSignals]:
    """Defer signals while a block runs that must not be interrupted and checks `received` itself.

    Outside of `stoppable` the handlers are installed for this block only.
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


def end_if_signalled() -> None:
    """End the run of `stoppable` if a signal was received while signals were deferred.

    Raises:
        Interrupted: a signal was received.
    """
    if _active is not None:
        _active.check()


def _is_fitting(frame: FrameType | None) -> bool:
    """Return whether a `fit` is still running, since a failed one may leave the handlers installed."""
    while frame is not None:
        if frame.f_code.co_name in ("fit", "run_stages"):
            return True
        frame = frame.f_back
    return False
