"""The common part of the contract tests: errors, equal weights, a fit that is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kft.errors import KftError


class ContractError(KftError, AssertionError):
    """An error about a recipe, a task or a callback that breaks its contract; the message says how."""


class _EndedError(Exception):
    pass


class _Ending(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 1:
            raise _EndedError


def require(holds: Any, step: str, problem: str) -> None:
    """Raise if a promise is broken.

    Args:
        holds: Whether the promise holds.
        step: The step that checks it.
        problem: What is wrong otherwise.
    """
    if not holds:
        raise ContractError(f"{step}: {problem}.")


def weights_of(model: keras.Model) -> list[np.ndarray]:
    """Return all weights of a model as arrays."""
    return [np.array(keras.ops.convert_to_numpy(weight)) for weight in model.weights]


def equal(one: list[np.ndarray], other: list[np.ndarray], tolerance: float = 0.0) -> bool:
    """Return whether weights are equal, to the last bit or within a tolerance."""
    return len(one) == len(other) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


def end_in_second_epoch(fit: Callable[[keras.callbacks.Callback], Any]) -> None:
    """End a fit with an error at the end of its second epoch, before that epoch is committed.

    Args:
        fit: Fits with a callback, which precedes the one that commits.

    Raises:
        ContractError: If the fit ends earlier.
    """
    try:
        fit(_Ending())
    except _EndedError:
        return
    raise ContractError("resume: the fit did not reach the end of its second epoch.")
