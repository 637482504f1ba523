"""Garbage collection after each trial that skips the objects of imported libraries."""

from __future__ import annotations

import gc


class Collector:
    """Free the models of trials, whose objects form reference cycles.

    What survives the first collection (libraries, the shared backbone) is set aside by `gc.freeze`:
    scanning those hundreds of thousands of objects would take a fifth of a second per trial.
    """

    def __init__(self) -> None:
        self._set_aside = False

    def collect(self) -> None:
        """Free what is no longer in use."""
        gc.collect()
        if not self._set_aside:
            gc.freeze()
            self._set_aside = True

    def close(self) -> None:
        """Return what was set aside to Python's collector."""
        if self._set_aside:
            gc.unfreeze()
            self._set_aside = False
