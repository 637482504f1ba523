"""Trees of arrays: one array whose first axis counts examples, or a dict of such trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["concatenated", "leaves", "length", "mapped", "taken"]


def mapped(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to each array of a tree, and return a tree of the same structure.

    Args:
        function: Takes one array of each tree.
        tree: An array, or a dict of trees.
        *others: Trees of the same structure.
    """
    if not isinstance(tree, dict):
        return function(tree, *others)
    return {
        name: mapped(function, one, *(other[name] for other in others))
        for name, one in tree.items()
    }


def leaves(tree: Any, name: str = "") -> list[tuple[str, Any]]:
    """Return each array of a tree with its path, such as `("image/left", array)`.

    Args:
        tree: An array, or a dict of trees.
        name: The path of the tree itself.
    """
    if not isinstance(tree, dict):
        return [(name, tree)]
    return [
        leaf
        for key, one in tree.items()
        for leaf in leaves(one, f"{name}/{key}" if name else str(key))
    ]


def length(tree: Any) -> int:
    """Return the number of examples in a tree, the length of its first array."""
    return len(leaves(tree)[0][1])


def taken(tree: Any, rows: Any) -> Any:
    """Return the examples at these indices, or in this slice."""
    return mapped(lambda array: array[rows], tree)


def concatenated(trees: Sequence[Any]) -> Any:
    """Concatenate the examples of several trees of the same structure."""
    return mapped(lambda *arrays: np.concatenate(arrays), *trees)
