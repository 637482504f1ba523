"""Show how far the trial that runs is."""

from __future__ import annotations

from typing import Any

import keras

from kft.report.progress import Progress


class EpochProgress(keras.callbacks.Callback):
    """Count the epochs of a fit.

    Args:
        progress: Where they are counted.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Count one; a fit that continues where it was killed has done the earlier ones."""
        self._progress.advance(epoch + 1 - self._progress.done)
