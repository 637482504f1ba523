"""The logged value by which epochs are compared, and its direction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import keras

from kft.arguments import shown
from kft.errors import InputError

_LESS = ("loss", "rmse", "mae", "mse", "mape", "msle", "error", "crossentropy", "divergence")
_MORE = ("accuracy", "acc", "auc", "precision", "recall", "f1", "f1_score", "iou", "dice", "r2")


@dataclasses.dataclass(frozen=True)
class Monitor:
    """A value in the logs by which epochs are compared.

    Args:
        name: Name in the logs, such as `"val_loss"`.
        mode: `"min"` if lower is better, `"max"` if higher is.
    """

    name: str
    mode: str

    @classmethod
    def of(cls, chosen: str | tuple[str, str]) -> Self:
        """Return the monitor with a name whose direction is known, or with a name and a mode.

        Args:
            chosen: `"val_accuracy"`, or `("val_kappa", "max")`.

        Raises:
            InputError: If the name does not imply a direction, or `chosen` is something else.
        """
        name: Any = chosen
        mode: Any = None
        if isinstance(chosen, (tuple, list)) and len(chosen) == 2:
            name, mode = chosen
        if (
            not isinstance(name, str)
            or not name
            or (name is not chosen and not (isinstance(mode, str) and mode in ("min", "max")))
        ):
            raise InputError(
                f"`monitor={shown(chosen)}`: pass the name of a logged value such as 'val_loss', or a name "
                "and a direction such as monitor=('val_kappa', 'max')."
            )
        mode = mode or direction(name)
        if mode is None:
            raise InputError(
                f"`monitor={name!r}`: the name does not imply whether higher or lower is better; pass "
                f"monitor=({name!r}, 'max') or monitor=({name!r}, 'min')."
            )
        return cls(name, mode)

    @classmethod
    def of_rule(cls, rule: keras.callbacks.EarlyStopping) -> Self:
        """Return the monitor of an `EarlyStopping`.

        Raises:
            InputError: If its mode is `"auto"` and its name does not imply a direction.
        """
        return cls.of(rule.monitor if rule.mode == "auto" else (rule.monitor, rule.mode))

    def value(self, logs: Mapping[str, Any] | None) -> float | None:
        """Return the value in these logs; None if it is missing, NaN or infinite."""
        found = (logs or {}).get(self.name)
        return float(found) if found is not None and math.isfinite(float(found)) else None

    def is_better(self, value: float, than: float, tolerance: float = 0.0) -> bool:
        """Return whether a value is strictly better than another.

        Args:
            value: The value.
            than: The other value.
            tolerance: By what fraction of the other the value may be worse, or must be better if negative.
        """
        allowed = tolerance * abs(than)
        return value < than + allowed if self.mode == "min" else value > than - allowed


def direction(name: str) -> str | None:
    """Return `"min"` or `"max"` for the name of a loss or metric, None if the name implies neither."""
    bare = name.removeprefix("val_").lower()
    for mode, endings in (("min", _LESS), ("max", _MORE)):
        if any(bare == ending or bare.endswith(f"_{ending}") for ending in endings):
            return mode
    return None
