"""Convex losses of linear heads, with their gradients."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

_SMALLEST = 1e-12


class Loss:
    """A loss of the outputs `[n, k]` of a linear head, summed over the k outputs of each row.

    Attributes:
        is_likelihood: Whether sums of the loss are comparable with the logarithm of a prior.
    """

    is_likelihood: ClassVar[bool] = True

    def prepared(self, targets: Any, width: int) -> np.ndarray:
        """Return the targets as rows `[n, width]`."""
        return np.asarray(targets, "float64").reshape(len(targets), width)

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss of each row `[n]`, and its gradient `[n, k]`."""
        raise NotImplementedError


class Softmax(Loss):
    """The cross-entropy of a softmax; targets are class numbers `[n]` or rows `[n, k]`."""

    def prepared(self, targets: Any, width: int) -> np.ndarray:
        """Return class numbers as one-hot rows, and rows unchanged."""
        targets = np.asarray(targets)
        if targets.ndim == 2 and targets.shape[1] == width:
            return targets.astype("float64")
        rows = np.zeros((len(targets), width))
        rows[np.arange(len(targets)), targets.reshape(-1).astype(int)] = 1
        return rows

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cross-entropy, and the probabilities minus the targets."""
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        total = exponentials.sum(axis=1, keepdims=True)
        losses = np.log(total[:, 0]) - (targets * shifted).sum(axis=1)
        return losses, exponentials / total - targets


class Sigmoid(Loss):
    """The cross-entropy of k sigmoids; targets are rows of 0 and 1."""

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cross-entropy, and the probabilities minus the targets."""
        losses = np.logaddexp(0, outputs) - targets * outputs
        probabilities = 0.5 * (1 + np.tanh(outputs / 2))
        return losses.sum(axis=1), probabilities - targets


class Squares(Loss):
    """Half the squared error, in units of the targets' standard deviations."""

    is_likelihood = False  # the variance of the errors is unknown

    def __call__(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return half the squared errors, and the errors."""
        errors = outputs - targets
        return 0.5 * (errors**2).sum(axis=1), errors
