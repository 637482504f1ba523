"""Snapshots of the variables of a running fit, and their restoration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kft.errors import KftError

_COPIES = 64  # of all variables; early stopping and the best epoch of a search hold one each
_SECTIONS = ("model", "optimizer", "metrics")


def variables_of(model: keras.Model, trainer: keras.Model) -> dict[str, list[keras.Variable]]:
    """Return all variables that a training step reads or changes, each in one section.

    Args:
        model: the whole model, with weights, seed generators and optimizer.
        trainer: the model whose `fit` runs and whose metrics count: the whole model or a part of it.
    """
    metrics = list(trainer.metrics_variables)
    optimizer = list(model.optimizer.variables)
    others = {id(variable) for variable in (*metrics, *model.metrics_variables, *optimizer)}
    own = [variable for variable in model.variables if id(variable) not in others]
    return dict(zip(_SECTIONS, (own, optimizer, metrics), strict=True))


def snapshot(model: keras.Model, trainer: keras.Model) -> dict[str, np.ndarray]:
    """Return the values of all variables, named by section, index and path."""
    return {
        f"{section}/{index:05d}/{variable.path}": np.array(ops.convert_to_numpy(variable))
        for section, variables in variables_of(model, trainer).items()
        for index, variable in enumerate(variables)
    }


def largest_commit(model: keras.Model, trainer: keras.Model) -> int:
    """Return the maximum size in bytes of a model's commit, in which callbacks may store copies.

    Args:
        model: as for `variables_of`.
        trainer: as for `variables_of`.
    """
    variables = [one for section in variables_of(model, trainer).values() for one in section]
    values = sum(math.prod(variable.shape) for variable in variables)
    return _COPIES * 8 * values + 2**30


def restore(
    model: keras.Model,
    trainer: keras.Model,
    arrays: Mapping[str, np.ndarray],
    sections: Sequence[str],
) -> None:
    """Assign the values of a snapshot after checking that all of them fit.

    Values are matched to variables by index, since Keras' numbering of names depends on everything
    that a process has made.

    Args:
        model: as for `variables_of`.
        trainer: as for `variables_of`.
        arrays: the result of `snapshot`.
        sections: the sections to restore.

    Raises:
        KftError: a value is missing, or has another shape or dtype than its variable.
    """
    pairs: list[tuple[keras.Variable, np.ndarray]] = []
    for section, variables in variables_of(model, trainer).items():
        if section not in sections:
            continue
        saved = {int(k.split("/")[1]): v for k, v in arrays.items() if k.startswith(f"{section}/")}
        if len(saved) != len(variables):
            raise KftError(
                f"The saved state has {len(saved)} variables of the {section}, but there are "
                f"{len(variables)} now: the model, its optimizer or its metrics have changed."
            )
        for index, variable in enumerate(variables):
            _check(variable, saved[index], section)
            pairs.append((variable, saved[index]))
    for variable, value in pairs:
        variable.assign(value)


def _check(variable: keras.Variable, value: Any, section: str) -> None:
    dtype = keras.backend.standardize_dtype(variable.dtype)
    if tuple(variable.shape) != value.shape or dtype != str(value.dtype):
        raise KftError(
            f"{variable.path} of the {section} has the shape {tuple(variable.shape)} and dtype {dtype}, "
            f"but {value.shape} and {value.dtype} were saved: the model has changed."
        )
