"""Folds for cross-validation, in which each example is held out once, together with its group."""

from __future__ import annotations

import warnings

import numpy as np

from kft.data.examples import Examples
from kft.data.group_numbers import group_numbers
from kft.data.split import indivisible_groups, strata_of
from kft.errors import InputError

__all__ = ["ALWAYS_TRAINED", "folds_of"]

ALWAYS_TRAINED = -1  # in place of a fold


def folds_of(examples: Examples, count: int, seed: int = 0) -> np.ndarray:
    """Return the fold of each example, int `[n]` from 0.

    Classes have about the same share in every fold. Examples with identical content stay together, as
    do those that the task groups; if the examples have `groups`, these stay together instead. A class
    with a single such group is never held out, since it could not be learned without it: its fold
    is -1.

    Args:
        examples: The examples to divide.
        count: The number of folds.
        seed: The seed; the same one yields the same folds.

    Raises:
        InputError: The examples have times, or too few of them are different.
    """
    if examples.order is not None:
        raise InputError(
            f"{examples.source} has times, and a fold of early examples would be answered by a model that "
            "knows the later ones: split it by `validation_data`, or read it without `order`"
        )
    together = indivisible_groups(examples) if examples.groups is None else examples.groups
    group = group_numbers(together.tolist())
    strata = strata_of(examples)
    folds = np.full(len(examples), ALWAYS_TRAINED)
    for stratum in np.unique(strata):
        own = strata == stratum
        if len(np.unique(group[own])) > 1:
            folds[own] = 0
    held = np.flatnonzero(folds != ALWAYS_TRAINED)
    different = len(np.unique(group[held]))
    if different < count:
        raise InputError(
            f"{examples.source} has {different} different examples, groups or texts to hold out, too few "
            f"for `folds={count}`: pass fewer folds, or more data"
        )
    return _divided(folds, held, strata, group, count, seed)


def _divided(
    folds: np.ndarray,
    held: np.ndarray,
    strata: np.ndarray,
    group: np.ndarray,
    count: int,
    seed: int,
) -> np.ndarray:
    from sklearn.model_selection import StratifiedGroupKFold

    divided = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class may have fewer examples than there are folds
        parts = divided.split(held, strata[held], group[held])
        for number, (_, places) in enumerate(parts):
            folds[held[places]] = number
    return folds
