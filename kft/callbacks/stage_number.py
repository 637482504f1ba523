"""The number of a stage as it stands in the logs."""

from __future__ import annotations

from typing import Any


class StageNumber(int):
    """A whole number that Keras' progress bar prints as one: `stage: 2` instead of `stage: 2.0000`.

    The bar averages each value, `np.mean(value) / 1`, and formats the result with four decimals. It has no
    setting for that, so the number answers these operations itself. Everything else treats it as an int.
    """

    def mean(self, *args: Any, **kwargs: Any) -> StageNumber:
        """Return the number itself, which NumPy's `mean` of it would be."""
        return self

    def __truediv__(self, other: Any) -> Any:
        return self if other == 1 else int(self) / other

    def __format__(self, spec: str) -> str:
        return format(int(self), "" if spec == ".4f" else spec)
