"""The values of variables, and the way back to them."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

Values = list[tuple[keras.Variable, np.ndarray]]


def values_of(variables: Iterable[keras.Variable]) -> Values:
    """Return variables with copies of what they hold.

    Copies: an array may share its memory with the variable that it came from.

    Args:
        variables: Such as `model.variables`: weights, BatchNorm statistics, states of seed generators.
    """
    return [(one, np.array(keras.ops.convert_to_numpy(one), copy=True)) for one in variables]


def put_back(saved: Values) -> None:
    """Assign what `values_of` returned."""
    for variable, value in saved:
        variable.assign(value)
