"""A model's answers to batch after batch, compiled once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class Forward:
    """Answers batches of inputs; a smaller batch after larger ones is filled up to their size.

    A backend compiles, or traces, a model once for each shape. The last batch of a data set is
    usually smaller, which would cost another compilation to answer a handful of examples.

    Args:
        model: the model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._size = 0

    def __call__(self, x: Any) -> Any:
        """What the model puts out for a batch, as NumPy arrays in its own structure.

        Args:
            x: inputs `[n, ...]`, an array or a structure of arrays.
        """
        count = len(keras.tree.flatten(x)[0])
        self._size = max(self._size, count)
        rows = np.minimum(np.arange(self._size), count - 1)  # the last example fills the batch up
        filled = x if count == self._size else keras.tree.map_structure(lambda a: a[rows], x)
        outputs = self._model.predict_on_batch(filled)
        return keras.tree.map_structure(lambda output: output[:count], outputs)
