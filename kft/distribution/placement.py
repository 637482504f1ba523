"""Whether a model's variables are on the devices that a fit is about to use."""

from __future__ import annotations

import keras

from kft.backends import backend
from kft.errors import InputError


def check_placement(model: keras.Model) -> None:
    """Finds out, before a step is taken, whether a model was built in the scope that is entered.

    Raises:
        InputError: it was not; each device would train, or not, by itself.
    """
    here = backend()
    count = here.device_count()
    if count == 1:
        return
    stray = next((one.path for one in model.variables if not here.is_spread(one)), None)
    if stray is not None:
        raise InputError(
            f"{stray} of {model.name} is on one device, but the scope has {count}: the model was built "
            "before the scope was entered. Build and compile it inside `with "
            "kft.distribution.scope(...)`, or pass `distribution` to a recipe's fit."
        )
