"""The progress of the running trial."""

from __future__ import annotations

from typing import Any

import keras

from kft.report.progress import Progress


class EpochProgress(keras.callbacks.Callback):
    """Advance a progress display with each epoch of a fit.

    Args:
        progress: The display.
        before: The epochs of fits before this one.
    """

    def __init__(self, progress: Progress, before: int = 0) -> None:
        super().__init__()
        self._progress, self._before = progress, before

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance to this epoch; a resumed fit has done the earlier ones already."""
        self._progress.advance(self._before + epoch + 1 - self._progress.done)
