"""Fits in forked processes that are ended by signals, to test resuming.

Fork before a backend has computed anything: importing takes longest, and all processes share it.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

import keras


class End(keras.callbacks.Callback):
    """Send this process a signal when a hook is called for the `at`-th time."""

    def __init__(self, hook: str, at: int, number: int = signal.SIGKILL) -> None:
        super().__init__()
        self._left, self._number = at, number
        setattr(self, hook, self._count)

    def _count(self, *args, **kwargs) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._number)


def in_child(work: Callable[[], object], kill_after: float | None = None) -> int:
    """Run `work` in a forked process, optionally killed; return its exit code, or minus the signal."""
    child = os.fork()
    if child == 0:
        code: object = 1
        try:
            work()
            code = 0
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            traceback.print_exc()
        finally:  # cleaning up all imported modules takes longest
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 1)
    deadline = None if kill_after is None else time.monotonic() + kill_after
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            deadline = None
        time.sleep(0.002)
