"""Packing of trees of plain values and arrays into JSON and named arrays, and unpacking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kft.errors import KftError

_ARRAY = "__array__"


def pack(tree: Any, arrays: dict[str, np.ndarray], name: str = "") -> Any:
    """Replace the arrays of a tree by their names.

    Args:
        tree: dicts, lists and tuples of plain values, NumPy arrays and NumPy scalars.
        arrays: the dict to which the arrays are added.
        name: prefix of the names.

    Returns:
        The tree, ready for JSON.
    """
    if isinstance(tree, Mapping):
        return {str(key): pack(value, arrays, f"{name}/{key}") for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [pack(value, arrays, f"{name}/{index}") for index, value in enumerate(tree)]
    if isinstance(tree, np.ndarray):
        arrays[name] = tree
        return {_ARRAY: name}
    return tree.item() if isinstance(tree, np.generic) else tree


def unpack(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Replace the names of arrays in a packed tree by the arrays.

    Raises:
        KftError: an array is missing.
    """
    if isinstance(tree, dict):
        if set(tree) == {_ARRAY}:
            if tree[_ARRAY] not in arrays:
                raise KftError(f"The saved state has no array {tree[_ARRAY]!r}.")
            return arrays[tree[_ARRAY]]
        return {key: unpack(value, arrays) for key, value in tree.items()}
    if isinstance(tree, list):
        return [unpack(value, arrays) for value in tree]
    return tree
