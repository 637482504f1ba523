"""SIGTERM and SIGINT as a wish: the step is finished and the state committed before the run ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any


class StopSignals:
    """Notes SIGTERM and SIGINT while it is installed; a second one ends the process at once.

    Signals can be handled in the main thread alone; elsewhere nothing is installed.

    Attributes:
        received: the signal that came, None if none did.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def install(self) -> None:
        """Handles both signals from now on."""
        self.received = None
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)

    def remove(self) -> None:
        """Gives both signals back to whoever handled them before."""
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        received = signal.Signals(number)
        if self.received is not None or not _is_fitting(frame):
            self.remove()
            os.kill(os.getpid(), number)
            return
        self.received = received
        print(
            f"\n{received.name}: the run stops after this step, once its state is committed. Send it "
            "again to stop at once.",
            file=sys.stderr,
            flush=True,
        )


def _is_fitting(frame: FrameType | None) -> bool:
    """Whether a `fit` is still running: one that has failed lets nobody take the handlers off."""
    while frame is not None:
        if frame.f_code.co_name in ("fit", "run_stages"):
            return True
        frame = frame.f_back
    return False
