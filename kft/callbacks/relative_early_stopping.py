"""Early stopping whose least improvement is a fraction of the best value."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kft.arguments import check_choice, check_flag, check_whole, is_number, plain, shown
from kft.arguments.calls import CheckedCalls
from kft.callbacks.monitor import Monitor
from kft.errors import InputError


class RelativeEarlyStopping(CheckedCalls, keras.callbacks.EarlyStopping):
    """Stop training when a value no longer improves by a fraction of its best value.

    Keras' `EarlyStopping` compares with an absolute `min_delta`, which defaults to 0: a loss that
    falls in its fifth decimal keeps it waiting. Here `min_delta` is relative, so one setting suits
    a loss of 1.7 as well as one of 0.02.

    Args:
        monitor: Name of the logged value. Defaults to `"val_loss"`.
        min_delta: The least improvement that counts, as a fraction of the best value so far. Slow
            improvements add up: each epoch is compared with the last value that counted. Defaults to
            0.001.
        patience: Epochs without such an improvement after which training stops. Defaults to 3.
        mode: `"min"`, `"max"`, or `"auto"` to derive it from the name. Defaults to `"auto"`.
        restore_best_weights: Whether to end with the weights of the last epoch that counted.
            Defaults to True.
        start_from_epoch: Epochs to let pass before the first comparison. Defaults to 0.
        verbose: 1 prints a line when training stops. Defaults to 0.

    Raises:
        InputError: If `min_delta` is not a fraction, another argument has the wrong type or is out of
            range, or the direction is unknown.

    Example:

    ```python
    stop = kft.callbacks.RelativeEarlyStopping(patience=2, min_delta=0.01)
    model.fit(x, y, validation_split=0.2, epochs=50, callbacks=[stop])
    ```
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 1e-3,
        patience: int = 3,
        mode: str = "auto",
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
        verbose: int = 0,
    ) -> None:
        min_delta, patience, start_from_epoch = map(plain, (min_delta, patience, start_from_epoch))
        if not (is_number(min_delta) and 0 <= min_delta < 1):
            raise InputError(
                f"`min_delta={shown(min_delta)}`: pass a fraction of the best value, from 0 to below 1."
            )
        check_whole("patience", patience, "epochs", least=0)
        check_whole("start_from_epoch", start_from_epoch, "epochs", least=0)
        check_choice("mode", mode, ("auto", "min", "max"))
        check_flag("restore_best_weights", plain(restore_best_weights))
        check_choice("verbose", plain(verbose), (0, 1, 2))
        chosen = Monitor.of(monitor if mode == "auto" else (monitor, mode))
        super().__init__(
            chosen.name,
            patience=patience,
            mode=chosen.mode,
            restore_best_weights=restore_best_weights,
            start_from_epoch=start_from_epoch,
            verbose=verbose,
        )
        self.fraction = float(min_delta)
        # Set here, since Keras would flip the sign of `min_delta` when it sets it.
        self.monitor_op = ops.less if chosen.mode == "min" else ops.greater

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the epoch with the best one so far."""
        if self.best is not None:
            least = self.fraction * abs(float(self.best))
            self.min_delta = -least if self.mode == "min" else least
        super().on_epoch_end(epoch, logs)
