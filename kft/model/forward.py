"""The forward pass of a model over many batches, compiled once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class Forward:
    """A forward pass that pads smaller batches to the size of the largest before.

    A backend compiles, or traces, a model once per shape. The last batch of a dataset is usually
    smaller and would otherwise need another compilation.

    Args:
        model: the model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._size = 0

    def __call__(self, x: Any) -> Any:
        """Return the model's outputs for a batch, as NumPy arrays in their structure.

        Args:
            x: inputs `[n, ...]`, an array or a structure of arrays.
        """
        count = len(keras.tree.flatten(x)[0])
        self._size = max(self._size, count)
        rows = np.minimum(np.arange(self._size), count - 1)  # pad by repeating the last example
        filled = x if count == self._size else keras.tree.map_structure(lambda a: a[rows], x)
        outputs = self._model.predict_on_batch(filled)
        return keras.tree.map_structure(lambda output: output[:count], outputs)
