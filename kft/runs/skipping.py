"""Skipping the steps of a resumed epoch that were taken before the commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from kft.backends import backend


class SkippedSteps:
    """The steps of an epoch before a commit, whose batches are read and dropped.

    Meanwhile `ModelCheckpoint` does not write, since it would overwrite its files with a later state.
    """

    def __init__(self) -> None:
        self._trainer: keras.Model | None = None
        self._saving: list[tuple[keras.callbacks.ModelCheckpoint, Any]] = []

    @property
    def active(self) -> bool:
        """Whether steps are skipped now."""
        return self._trainer is not None

    def begin(
        self,
        trainer: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        results: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Replace the training step by one that drops its batch.

        Args:
            trainer: the model, before its first step of the epoch.
            callbacks: the callbacks of the fit.
            results: returns the logs of each skipped step; called once the metrics are built.
        """
        self._trainer = trainer
        for one in callbacks:
            if isinstance(one, keras.callbacks.ModelCheckpoint):
                self._saving.append((one, one.save_freq))
                one.save_freq = "epoch"
        trainer.train_function = backend().skipping_step(trainer, results)

    def end(self) -> None:
        """Restore the training step."""
        if self._trainer is not None:
            self._trainer.make_train_function(force=True)
        self.release()

    def release(self) -> None:
        """Let the callbacks write again, even after a fit that failed."""
        for one, save_freq in self._saving:
            one.save_freq = save_freq
        self._trainer, self._saving = None, []
