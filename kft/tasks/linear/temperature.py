"""The temperature that makes probabilities of scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.tasks.linear.losses import Loss

SPREAD = 0.5  # standard deviation of the logarithm of temperatures, as expected before any data
_LARGEST = 20.0


def temperature(outputs: np.ndarray, targets: Any, loss: Loss) -> float:
    """Return what the outputs of a head have to be divided by for the least loss.

    With few examples the temperature would follow the luck of single ones. So its logarithm is taken
    to be normally distributed around 0 with a standard deviation of one half, which a few hundred
    examples outweigh.

    Args:
        outputs: What the head put out in front of its activation, `[n, k]`, for examples that it was
            not trained on.
        targets: What `loss.prepared` takes, for n examples.
        loss: The loss, a sum over the outputs of an example.

    Returns:
        The temperature, from 1/20 to 20.
    """
    import scipy.optimize  # takes long to import

    x = np.asarray(outputs, "float64")
    y = loss.prepared(targets, x.shape[1])

    def cost(log_temperature: float) -> float:
        losses, _ = loss(x / np.exp(log_temperature), y)
        return float(losses.sum()) + 0.5 * (log_temperature / SPREAD) ** 2

    bound = float(np.log(_LARGEST))
    found = scipy.optimize.minimize_scalar(
        cost, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-4}
    )
    return float(np.exp(found.x))
