"""A Keras metric: the loss of the scores after temperature scaling."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kft.tasks.linear.temperature import SPREAD
from kft.tasks.losses import rows_of_probabilities

CALIBRATED_LOSS = "calibrated_loss"
_LOGARITHMS = np.linspace(-2, 2, 33)  # log-temperatures to try, up to four spreads from 0
SMALLEST = 1e-30  # lower bound of scores before their logarithm


@keras.saving.register_keras_serializable("kft")
class CalibratedLoss(keras.metrics.Metric):
    """The mean cross-entropy of scores at the best of 33 temperatures from 0.14 to 7.4.

    A model trained for long on few examples is overconfident, which inflates its loss. Models compare
    fairly after calibration, which `fit` does at the end; see `kft.tasks.linear.temperature`, whose
    prior over temperatures applies here as well.

    Args:
        activation: The activation of the scores, `"softmax"` or `"sigmoid"`. Targets of a softmax are
            class numbers `(batch,)` or rows of probabilities, those of a sigmoid rows of 0 and 1.
        name: The name in the logs. Defaults to `"calibrated_loss"`.
        dtype: The dtype of the sums.
    """

    def __init__(self, activation: str, name: str = CALIBRATED_LOSS, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.activation = activation
        self.sums = self.add_variable((len(_LOGARITHMS),), "zeros", name="sums")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the losses of a batch at each temperature.

        Args:
            y_true: The targets.
            y_pred: The scores `(batch, k)`.
            sample_weight: The weight of each example, `(batch,)`. Defaults to 1.
        """
        scores = ops.cast(y_pred, "float32")
        softmax = self.activation == "softmax"
        rows = rows_of_probabilities(y_true, scores) if softmax else ops.cast(y_true, "float32")
        outputs = ops.log(ops.maximum(scores, SMALLEST))
        if not softmax:
            outputs = outputs - ops.log(ops.maximum(1 - scores, 1e-7))
        divided = outputs[:, None] / ops.convert_to_tensor(np.exp(_LOGARITHMS)[:, None], "float32")
        if softmax:
            losses = ops.logsumexp(divided, axis=-1) - ops.sum(rows[:, None] * divided, axis=-1)
        else:
            losses = ops.sum(ops.softplus(divided) - rows[:, None] * divided, axis=-1)
        weights = ops.ones_like(losses[:, :1]) if sample_weight is None else sample_weight
        weights = ops.reshape(ops.cast(weights, "float32"), (-1, 1))
        self.sums.assign_add(ops.cast(ops.sum(losses * weights, axis=0), self.dtype))
        each = 1 if softmax else scores.shape[-1]  # a mean over the labels, as Keras' loss is
        self.count.assign_add(ops.cast(ops.sum(weights) * each, self.dtype))

    def result(self) -> Any:
        """Return the loss at the best temperature."""
        expected = ops.convert_to_tensor(0.5 * (_LOGARITHMS / SPREAD) ** 2, self.dtype)
        return ops.divide_no_nan(ops.min(self.sums + expected), self.count)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for Keras' serialisation."""
        return {"name": self.name, "dtype": self.dtype, "activation": self.activation}
