"""Handling of a loss that is not finite: end the fit, or resume from the last commit at half the rate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from kft.callbacks import RunCheckpoint
from kft.data.plain_errors import plain_errors
from kft.errors import NonFiniteLossError


class FiniteLoss(keras.callbacks.Callback):
    """End training with an error after the first epoch whose loss is NaN or infinite."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Check the losses of the epoch."""
        logs = logs or {}
        for name in ("loss", "val_loss"):
            value = logs.get(name)
            if value is not None and not math.isfinite(value):
                rate = logs.get("learning_rate")
                at = "" if rate is None else f" at learning_rate={float(rate):.2g}"
                raise NonFiniteLossError(
                    f"`{name}` is {float(value)} in epoch {epoch + 1}{at}, but a finite number is "
                    "expected: look for NaN in the data and for class numbers outside 0 to "
                    "num_classes - 1, lower the stage's learning_rate, or pass "
                    "an optimizer with clipnorm=1.0, or resume=kft.Resume(retries=2), which "
                    "resumes from the last commit at half the rate."
                )


def with_retries(
    fit: Callable[[], keras.callbacks.History],
    checkpoint: Sequence[RunCheckpoint],
    retries: int,
    before_retry: Callable[[], None],
) -> keras.callbacks.History:
    """Fit; after a loss that is not finite, resume from the last commit at half the rate.

    Args:
        fit: Fits, from the newest commit if there is one.
        checkpoint: The callback that commits, if there is one.
        retries: How many times to resume.
        before_retry: Prepares the model to be fitted again.

    Raises:
        NonFiniteLossError: If the loss was not finite more than `retries` times.
    """
    for attempt in range(retries + 1):
        try:
            with plain_errors():
                return fit()
        except NonFiniteLossError as error:
            if attempt == retries:
                raise
            warnings.warn(
                f"{error} Retry {attempt + 1} of {retries}, at half the learning rate.",
                stacklevel=3,
            )
            for one in checkpoint:
                one.slow_down(0.5)
            before_retry()
    raise AssertionError("unreachable: the last attempt returns or raises")
