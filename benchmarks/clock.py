"""The seconds and epochs of each stage of a fit."""

import time
from typing import Any

import keras


class StageClock(keras.callbacks.Callback):
    """Count seconds and epochs by stage, including compilation and validation.

    Attributes:
        seconds: Seconds in each stage, by its name.
        epochs: Epochs taken in each stage.
        before: Seconds from construction to the first epoch, for reading and frozen features.
    """

    def __init__(self, stages: list) -> None:
        super().__init__()
        self._names = [stage.label for stage in stages]
        self._last = time.perf_counter()
        self.before = 0.0
        self.seconds = dict.fromkeys(self._names, 0.0)
        self.epochs = dict.fromkeys(self._names, 0)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.before = self._lap()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        name = self._names[int(logs["stage"]) - 1]
        self.seconds[name] += self._lap()
        self.epochs[name] += 1

    def _lap(self) -> float:
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        return spent
