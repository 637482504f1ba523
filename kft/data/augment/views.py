"""Another kept view of each example in each epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class NextView:
    """Goes from row numbers of examples to those of their kept views, another one each epoch.

    In as many epochs as there are views each example is seen once in each of them.

    Args:
        count: Number of examples.
        views: Number of views, which lie one after the other.

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
        """Turn rows `[n]` among the examples into rows among their views; `seed[1]` is the epoch."""
        return x + self.count * ((x + seed[1]) % self.views), y
