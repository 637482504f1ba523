"""The values of variables, and the way back to them."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

Values = list[tuple[keras.Variable, np.ndarray]]


def value_of(variable: keras.Variable) -> np.ndarray:
    """Return a copy of what a variable holds: an array may share its memory with the variable."""
    return np.array(keras.ops.convert_to_numpy(variable), copy=True)


def values_of(variables: Iterable[keras.Variable]) -> Values:
    """Return variables with copies of what they hold.

    Args:
        variables: Such as `model.variables`: weights, BatchNorm statistics, states of seed generators.
    """
    return [(one, value_of(one)) for one in variables]


def put_back(saved: Values) -> None:
    """Assign what `values_of` returned."""
    for variable, value in saved:
        variable.assign(value)
