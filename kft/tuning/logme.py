"""LogME: how well frozen features explain labels, without training."""

from __future__ import annotations

import numpy as np

from kft.errors import InputError


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the log of the maximum evidence of the labels given the features, per example.

    Labels are modelled as a linear function of the features with a Gaussian prior on its weights
    and Gaussian noise. Both variances are set to maximise the likelihood of the labels, and the
    weights are integrated out, so that more features are no advantage by themselves. For classes it
    is the mean over the classes, each against the rest (You et al. 2021,
    https://arxiv.org/abs/2102.11005).

    Args:
        features: `[examples, features]`, from a frozen backbone.
        labels: Class numbers `[examples]`, or for regression and multi-label tasks float targets
            `[examples]` or `[examples, targets]`.

    Returns:
        The score; larger is better, and only scores on the same labels are comparable.

    Raises:
        InputError: If the shapes do not fit, or a value is not finite.
    """
    return float(np.mean(Evidence(features).of(targets_of(labels))))


def targets_of(labels: np.ndarray) -> np.ndarray:
    """Return the labels as columns of floats: one per class, or the targets as they are."""
    labels = np.asarray(labels)
    if np.issubdtype(labels.dtype, np.integer) and labels.ndim == 1:
        return (labels[:, None] == np.unique(labels)).astype(float)
    return labels.reshape(len(labels), -1).astype(float)


class Evidence:
    """A decomposition of features, computed once for many targets.

    Args:
        features: `[examples, features]`.
    """

    def __init__(self, features: np.ndarray) -> None:
        features = np.asarray(features, dtype=np.float64)
        if features.ndim != 2 or not features.size:
            raise InputError(
                f"`features` have the shape {features.shape}: pass [examples, features]."
            )
        if not np.isfinite(features).all():
            raise InputError("`features` hold NaN or infinite values: pass finite ones.")
        self.examples, self.width = features.shape
        self._left, singular, _ = np.linalg.svd(features, full_matrices=False)
        # The scale of the features affects only how close the iteration below gets to the maximum.
        self._powers = (singular / (singular.max() or 1.0)) ** 2

    def of(self, targets: np.ndarray) -> np.ndarray:
        """Return the log of the maximum evidence of each column of targets, per example.

        Args:
            targets: Floats, `[examples, targets]`.
        """
        if len(targets) != self.examples:
            raise InputError(
                f"{len(targets)} labels for {self.examples} examples: pass one for each."
            )
        explained = (self._left.T @ targets) ** 2
        rest = np.maximum((targets**2).sum(axis=0) - explained.sum(axis=0), 0.0)
        return np.array([self._maximum(*one) for one in zip(explained.T, rest, strict=True)])

    def _maximum(self, explained: np.ndarray, rest: float, most: int = 500) -> float:
        """Return the evidence at the fixed point of the precisions of weights and noise."""
        tiny = 1e-12 * self.examples
        weights = noise = 1.0
        for _ in range(most):
            ratio = weights / noise
            effective = float((self._powers / (self._powers + ratio)).sum())
            norm = float((self._powers * explained / (self._powers + ratio) ** 2).sum())
            error = float((explained * (ratio / (self._powers + ratio)) ** 2).sum()) + rest
            weights = max(effective, tiny) / (norm + tiny)
            noise = max(self.examples - effective, tiny) / (error + tiny)
            if abs(weights / noise - ratio) <= 1e-6 * ratio:
                break
        return self._evidence(weights, noise, explained, rest)

    def _evidence(self, weights: float, noise: float, explained: np.ndarray, rest: float) -> float:
        """Return the log density of a column with covariance `F F'/weights + 1/noise`, per example."""
        variances = self._powers / weights + 1.0 / noise
        beyond = self.examples - len(self._powers)
        log_det = float(np.log(variances).sum()) - beyond * np.log(noise)
        squares = float((explained / variances).sum()) + noise * rest
        return -0.5 * (log_det + squares + self.examples * np.log(2 * np.pi)) / self.examples
