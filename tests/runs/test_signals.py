"""Signals are handled during a fit, and their handlers restored however it ends."""

import signal
import threading

import pytest

from kft.runs.signals import deferred_signals

pytestmark = pytest.mark.once


def test_both_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with deferred_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_closed_in_another_thread_gives_back_with_the_next_signal():
    """The garbage collector may close an abandoned fit in another thread."""
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        waiting = deferred_signals()
        waiting.__enter__()
        failed = []

        def close():
            try:
                waiting.__exit__(None, None, None)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=close)
        thread.start()
        thread.join()
        assert failed == []
        signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
