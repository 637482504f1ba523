"""Whether a model's variables are on the devices that a fit is about to use."""

from __future__ import annotations

from typing import Any

import keras

from kft.distribution.devices import device_count
from kft.errors import InputError


def check_placement(model: keras.Model) -> None:
    """Finds out, before a step is taken, whether a model was built in the scope that is entered.

    Raises:
        InputError: it was not; each device would train, or not, by itself.
    """
    count = device_count()
    if count == 1:
        return
    stray = next((one.path for one in model.variables if not _is_spread(one)), None)
    if stray is not None:
        raise InputError(
            f"{stray} of {model.name} is on one device, but the scope has {count}: the model was built "
            "before the scope was entered. Build and compile it inside `with "
            "kft.distribution.scope(...)`, or pass `distribution` to a recipe's fit."
        )


def _is_spread(variable: Any) -> bool:
    if keras.backend.backend() == "jax":
        return len(variable.value.sharding.device_set) > 1
    import tensorflow as tf

    return isinstance(variable.value, tf.distribute.DistributedValues)
