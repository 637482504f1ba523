"""Temperature scaling, which calibrates scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from kft.tasks.linear.losses import Loss

SPREAD = 0.5  # standard deviation of the prior of the log-temperature
_LARGEST = 20.0


def temperature(outputs: np.ndarray, targets: Any, loss: Loss, usual: float = 1.0) -> float:
    """Return the temperature that minimises the loss of outputs divided by it.

    With few examples, single ones would determine the temperature. Its logarithm therefore has a normal
    prior with the mean log(`usual`) and standard deviation 0.5, which a few hundred examples outweigh.

    Args:
        outputs: Logits, `[n, k]`, of examples that the head was not trained on.
        targets: What `loss.prepared` takes, for n examples.
        loss: The loss, a sum over the outputs of an example.
        usual: The temperature to expect. Defaults to 1.

    Returns:
        The temperature, from 1/20 to 20.
    """
    import scipy.optimize  # slow to import

    x = np.asarray(outputs, "float64")
    y = loss.prepared(targets, x.shape[1])

    def cost(log_temperature: float) -> float:
        losses, _ = loss(x / np.exp(log_temperature), y)
        return float(losses.sum()) + 0.5 * ((log_temperature - np.log(usual)) / SPREAD) ** 2

    bound = float(np.log(_LARGEST))
    found = scipy.optimize.minimize_scalar(
        cost, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-4}
    )
    return float(np.exp(found.x))
