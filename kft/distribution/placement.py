"""The check that a model's variables are on the devices of the fit."""

from __future__ import annotations

import keras

from kft.backends import backend
from kft.errors import InputError


def check_placement(model: keras.Model) -> None:
    """Check, before a step is taken, that a model was built in the current scope.

    Raises:
        InputError: If it was not; each device would then train separately, or not at all.
    """
    here = backend()
    count = here.device_count()
    if count == 1:
        return
    misplaced = next((one.path for one in model.variables if not here.is_spread(one)), None)
    if misplaced is not None:
        raise InputError(
            f"{misplaced} of {model.name} is on one device, but the scope has {count}: the model was built "
            "before the scope was entered. Build and compile it inside `with "
            "kft.distribution.scope(...)`, or pass `distribution` to a recipe's fit."
        )
