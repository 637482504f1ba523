"""Saving and restoring the values of variables."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

Values = list[tuple[keras.Variable, np.ndarray]]


def value_of(variable: keras.Variable) -> np.ndarray:
    """Return a copy of a variable's value, since an array may share the variable's memory."""
    return np.array(keras.ops.convert_to_numpy(variable), copy=True)


def values_of(variables: Iterable[keras.Variable]) -> Values:
    """Return variables with copies of their values.

    Args:
        variables: Variables such as `model.variables`: weights, BatchNorm statistics, and states of
            seed generators.
    """
    return [(one, value_of(one)) for one in variables]


def put_back(saved: Values) -> None:
    """Restore the values that `values_of` returned."""
    for variable, value in saved:
        variable.assign(value)
