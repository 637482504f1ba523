"""The choice of a cached view of each example for each epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class NextView:
    """A map from indices of examples to indices of their cached views, another view each epoch.

    In as many epochs as there are views, each view of an example is used once.

    Args:
        count: Number of examples.
        views: Number of views per example; all examples of one view come before those of the next.

    Example:

    ```python
    rows, y = NextView(count=100, views=2)(np.array([0, 1]), y, seed=(0, epoch, 0))
    ```
    """

    before_load = True
    soft_targets = False

    def __init__(self, count: int, views: int) -> None:
        self.count, self.views = count, views

    def __call__(self, x: np.ndarray, y: Any, seed: Sequence[int]) -> tuple[np.ndarray, Any]:
        """Map indices `[n]` of examples to indices of views; `seed[1]` is the epoch."""
        return x + self.count * ((x + seed[1]) % self.views), y
