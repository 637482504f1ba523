"""The base class of scorers whose figures need the rows of all examples."""

from __future__ import annotations

import numpy as np

from kft.tasks.evaluation.rows import Rows
from kft.tasks.evaluation.scorer import Places, need_examples


class RowScorer:
    """Keep targets and outputs as rows of numbers, in bounded memory.

    Args:
        task: The name of the task in the evaluation.
    """

    def __init__(self, task: str) -> None:
        self._task = task
        self._places, self._rows = Places(), Rows(0)

    def _add(self, rows: np.ndarray, places: np.ndarray) -> None:
        """Add the rows of a batch, `(n, width)`, and their positions in the data, `(n,)`."""
        if not len(self._rows):
            self._rows = Rows(rows.shape[1])
        self._rows.add(rows, places)

    def _finished(self) -> Rows:
        """Return the rows of all batches in the order of the data.

        Raises:
            InputError: If there are none.
        """
        need_examples(len(self._rows))
        self._rows.finish()
        return self._rows
