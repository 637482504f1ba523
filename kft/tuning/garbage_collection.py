"""Freeing what a trial leaves behind, without a look at all that a process has imported."""

from __future__ import annotations

import gc


class Collector:
    """Frees the models of trials, whose objects refer to each other in circles.

    What outlives the first collection (libraries, the shared backbone) is set aside by `gc.freeze`:
    to go through those hundreds of thousands of objects takes a fifth of a second after each trial.
    """

    def __init__(self) -> None:
        self._set_aside = False

    def collect(self) -> None:
        """Free what is not in use any more."""
        gc.collect()
        if not self._set_aside:
            gc.freeze()
            self._set_aside = True

    def close(self) -> None:
        """Let Python look after everything again."""
        if self._set_aside:
            gc.unfreeze()
            self._set_aside = False
