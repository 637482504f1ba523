"""Predictions of any task: the output arrays of the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kft.tasks.predictions.base import Predictions


@dataclass(frozen=True, eq=False, repr=False)
class ArrayPredictions(Predictions):
    """The output arrays for each input; tables print shape and range, files hold all values.

    An answer, `predictions[0]`, is the output for one input: an array without the batch axis, or a
    tree of them.

    Args:
        inputs: The name of each input in the table.
        outputs: The outputs of the model: an array `(n, ...)`, or a tree of them.
    """

    outputs: Any

    def columns(self) -> dict[str, list[Any]]:
        """Return `input` and `output`, or for several arrays a column per array, named by its path.

        Arrays are lists of numbers; those of higher rank are nested lists.
        """
        return {"input": list(self.inputs)} | {
            name: values.tolist() for name, values in self._leaves()
        }

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the printed table: the shape and the range of each array."""
        head, columns = ["input"], [[self.shown("input", name) for name in self.inputs]]
        for name, values in self._leaves():
            head.append(name)
            columns.append([_summary(row) for row in values])
        return head, [list(row) for row in zip(*columns, strict=True)]

    def _at(self, index: int) -> Any:
        return keras.tree.map_structure(lambda values: values[index], self.outputs)

    def _leaves(self) -> Iterator[tuple[str, np.ndarray]]:
        return _named(self.outputs, "")


def _named(tree: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a tree with their paths."""
    if isinstance(tree, (Mapping, tuple, list)):
        pairs = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for key, one in pairs:
            yield from _named(one, f"{name}_{key}" if name else str(key))
        return
    values = np.asarray(tree)
    # Files and JSON support neither bfloat16 nor half precision.
    yield name or "output", values if values.dtype.kind in "biuf" else values.astype(np.float32)


def _summary(values: np.ndarray) -> str:
    if not values.ndim:
        return f"{float(values):.4g}"
    shape = " x ".join(map(str, values.shape))
    if not values.size:
        return shape
    return f"{shape}, {float(values.min()):.4g} to {float(values.max()):.4g}"
