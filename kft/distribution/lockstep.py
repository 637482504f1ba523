"""Keeping several processes in step: order of the data, logs, and when to stop."""

from __future__ import annotations

import dataclasses
import zlib
from typing import Any

import keras
import numpy as np
from keras import ops

from kft.data.batches import Batches
from kft.distribution import processes
from kft.distribution.refusals import refuse_batch_norm
from kft.errors import KftError
from kft.runs.randomness import random_state, restore_random_state


@dataclasses.dataclass
class Place:
    """The position of a fit.

    Attributes:
        verify_every: Steps between two comparisons, None for only the first step of each epoch.
        epoch: The current epoch, from 0.
        batch: The current step of the epoch, from 0.
        data: The data of the step.
        test_batch: The batch that is evaluated, from 0.
        train: Batches of which each process gets its part; None for data that all processes get whole.
        test: The same for evaluation.
    """

    verify_every: int | None
    epoch: int = 0
    batch: int = 0
    data: Any = None
    test_batch: int = 0
    train: Batches | None = None
    test: Batches | None = None


class SharedLogs(keras.callbacks.Callback):
    """Replace the logs of all processes by those of the first.

    It precedes the other callbacks, so that they decide alike.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Replace the logs."""
        if logs is not None:
            logs.update(processes.from_first({key: float(value) for key, value in logs.items()}))


class SharedDecisions(keras.callbacks.Callback):
    """Apply the effects that the callbacks before it have had in one process to all of them.

    Args:
        place: Updated with the position of the fit.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Make all processes draw the same order of the examples."""
        refuse_batch_norm(self.model)
        restore_random_state(processes.from_first(random_state()))
        self.place.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the step."""
        self.place.batch = batch

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the batch."""
        self.place.test_batch = batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the data of the processes for the same step, as often as their weights."""
        every = self.place.verify_every
        if batch and (every is None or (batch + 1) % every):
            return
        place = self.place
        taken = place.data if place.train is None else place.train.order(place.epoch)
        digests = processes.gather(_digest(taken))
        if len(set(digests)) > 1:
            raise KftError(
                f"The processes were given different batches in step {batch + 1} of epoch "
                f"{self.place.epoch + 1}, so that examples were left out and others repeated: pass data "
                "whose order is the same in all processes, such as arrays or kft.data's batches, not "
                "a part of the data to each; kft cuts every batch in parts itself."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop all processes if a callback stops one."""
        (self.model.stop_training,) = processes.any_of(bool(self.model.stop_training))


def _digest(data: Any) -> tuple[int, ...]:
    arrays = [one for one in keras.tree.flatten(data) if one is not None]
    return tuple(zlib.crc32(np.asarray(ops.convert_to_numpy(one)).tobytes()) for one in arrays)
