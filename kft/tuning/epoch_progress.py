"""The progress of the running trial."""

from __future__ import annotations

from typing import Any

import keras

from kft.report.progress import Progress


class EpochProgress(keras.callbacks.Callback):
    """Advance a progress display with each epoch of a fit.

    Args:
        progress: The display.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance to this epoch; a resumed fit has done the earlier ones already."""
        self._progress.advance(epoch + 1 - self._progress.done)
