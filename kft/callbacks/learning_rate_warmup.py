"""Learning-rate warmup for a `fit` without stages."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kft.arguments.calls import CheckedCalls
from kft.callbacks.others import report_stop_iteration
from kft.errors import InputError
from kft.stages.optimizer import unscaled
from kft.stages.plan import Group
from kft.stages.regrouping import regroup, template, warmup_steps
from kft.stages.stage import Decay, Stage


class LearningRateWarmup(CheckedCalls, keras.callbacks.Callback):
    """Raise the learning rate linearly to the optimizer's own, then keep or lower it.

    The rate is a schedule inside the compiled step: no Python code runs for each batch, and
    callbacks that read or set `optimizer.learning_rate`, such as `ReduceLROnPlateau`, keep
    working. A warmup lets Adam's moment estimates settle before full steps are taken (Goyal et al.
    2017, https://arxiv.org/abs/1706.02677).

    Args:
        warmup: Steps (`int`) or fraction of all steps of the fit (`float` below 1). Defaults to 0.1.
        decay: `"constant"`, or `"linear"` or `"cosine"` to zero at the end of the fit. Defaults to
            `"constant"`.
        learning_rate: Peak rate. Defaults to the rate that the model was compiled with.

    Raises:
        InputError: If a value is out of its range, or the fit's number of steps is needed and unknown.

    Example:

    ```python
    model.fit(x, y, epochs=5, callbacks=[kft.callbacks.LearningRateWarmup(0.1, decay="cosine")])
    ```
    """

    def __init__(
        self,
        warmup: float | int = 0.1,
        decay: Decay = "constant",
        learning_rate: float | None = None,
    ) -> None:
        super().__init__()
        peak = 1.0 if learning_rate is None else learning_rate
        self._stage = Stage("all", epochs=1, learning_rate=peak, warmup=warmup, decay=decay)
        self.warmup = warmup
        self.decay = decay
        self.learning_rate = learning_rate

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Set the optimizer's schedule."""
        report_stop_iteration(self)
        steps = self.params.get("steps")
        total = None if steps is None else steps * self.params.get("epochs", 1)
        warmup_steps(self._stage, total)
        peak = self.learning_rate
        if peak is None:
            peak = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if peak <= 0:
            raise InputError(
                f"The optimizer's learning rate is {peak}: compile with the peak rate, or pass it as "
                "`learning_rate`."
            )
        trained = Group("all", (), peak, tuple(self.model.trainable_variables))
        regroup(self.model, template(self.model), [trained], self._stage, total)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = unscaled(self.model.optimizer).last_learning_rate
