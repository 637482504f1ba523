"""Groups of examples as numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

__all__ = ["group_numbers"]


def group_numbers(groups: Iterable[Hashable]) -> np.ndarray:
    """Return the number of each example's group, `[n]`, counted from 0 in the order of their first examples.

    Args:
        groups: The group of each example; values may be of different types, which have no order.
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in groups])
