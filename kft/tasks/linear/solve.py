"""Linear heads with an L2 penalty whose strength is chosen by cross-validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.tasks.linear.losses import Loss

STRENGTHS = tuple(float(10.0**power) for power in (0.5, 0, -0.5, -1, -1.5, -2, -2.5, -3, -3.5))
MOST = 50_000  # examples; more do not measurably improve a linear head
_FOLDS = 5
_FEW = 2_000  # up to this many examples, each one is held out once
_HELD_OUT = 10_000
_LARGE = 2 * 10**7  # size of the features above which the solver uses float32
_STEPS = 300
_SOFT = 0.75
_USUAL = 0.01  # usual strength, as a fraction of the features' total variance
_SPREAD = 0.5  # of the strength around the usual one: standard deviation of its log10


@dataclasses.dataclass(frozen=True, eq=False)
class Solved:
    """A solved head: features times `kernel` plus `bias`.

    Attributes:
        kernel: `[d, k]`, for the original features.
        bias: `[k]`.
        strength: The chosen strength of the penalty.
        soft_kernel: A kernel to continue training from; see `solve`.
        soft_bias: Its bias.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    soft_kernel: np.ndarray
    soft_bias: np.ndarray


def solve(
    features: np.ndarray,
    targets: Any,
    width: int,
    loss: Loss,
    *,
    weights: np.ndarray | None = None,
    seed: int = 0,
) -> Solved:
    """Find the linear head that minimises the loss plus an L2 penalty.

    Features are centred and divided by their standard deviation, but at least by the root mean square
    of all standard deviations: otherwise a feature that is nearly always constant would dominate the
    few examples in which it is large. Both steps are folded into the head.

    The penalty is half its strength times the sum of squares of the kernel. Nine strengths from 0.0003
    to 3 are compared by their loss on held-out examples: in five folds, or above 2,000 examples on a
    single fifth of at most 10,000. With fewer than two examples per output, the strength is 0.1.

    Fewer examples than features can be separated in many ways, and their held-out losses hardly tell the
    strengths apart, so single examples would decide. If the loss is a log-likelihood, the log10 of the
    strength then has a normal prior. Its standard deviation is 0.5, and its mean is the log10 of a
    hundredth of the total variance of the scaled features, so that repeating features changes nothing.
    It is weighed against the sum of the held-out losses; with fewer than two examples per output, the
    strength is the most probable one.

    A head that fits its training examples leaves a backbone nothing to learn from them. The soft head
    is the same head shrunk towards the best constant, until its mean training loss is three quarters of
    the constant's; if the loss is above that already, both heads are equal.

    The same input gives the same head on every backend: NumPy and L-BFGS solve it.

    Args:
        features: `[n, d]`.
        targets: What `loss.prepared` takes, for n examples.
        width: The number of outputs, k.
        loss: The loss to minimise.
        weights: The weight of each example, `[n]`. Defaults to equal weights.
        seed: Seed of the folds.
    """
    dtype = np.float64 if features.size <= _LARGE else np.float32
    y = loss.prepared(targets, width).astype(dtype)
    counts = np.ones(len(y)) if weights is None else np.asarray(weights, "float64")
    counts = counts / counts.mean()
    x = np.asarray(features, dtype)
    mean = x.mean(axis=0)
    scale = x.std(axis=0)
    scale = np.maximum(scale, max(float(np.sqrt(np.mean(scale**2))), 1e-12))
    x = (x - mean) / scale
    x, back = _rotated(x)
    few = back is not None and loss.is_likelihood
    usual = _USUAL * float((x**2).sum()) / len(x) if few else None
    strength = _strength(x, y, counts, loss, seed, usual)
    kernel, bias = _fitted(x, y, counts, loss, strength)
    part, constant = _softened(x, y, counts, loss, kernel, bias)
    kernel = (kernel if back is None else back @ kernel) / scale[:, None]
    soft_bias = constant + part * (bias - constant) - part * (mean @ kernel)
    return Solved(kernel, bias - mean @ kernel, strength, part * kernel, soft_bias)


def _rotated(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Project features to the span of the examples if that is smaller; return the inverse map as well.

    This changes no solution: the penalty is invariant to rotation, and outside of the span the best
    kernel is zero.
    """
    if x.shape[0] >= x.shape[1]:
        return x, None
    values, vectors = np.linalg.eigh(x @ x.T)
    kept = values > max(float(values[-1]), 0.0) * 1e-10
    roots = np.sqrt(values[kept])
    return vectors[:, kept] * roots, x.T @ (vectors[:, kept] / roots)


def _softened(
    x: np.ndarray,
    y: np.ndarray,
    counts: np.ndarray,
    loss: Loss,
    kernel: np.ndarray,
    bias: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Return the factor of the soft head, from 0 to 1, and the best constant."""
    _, constant = _fitted(x[:, :0], y, counts, loss, 0.0)
    differences = x @ kernel + bias - constant

    def mean_loss(part: float) -> float:
        return float(loss(constant + part * differences, y)[0] @ counts)

    most, least, allowed = 1.0, 0.0, _SOFT * mean_loss(0.0)
    if mean_loss(most) >= allowed:
        return most, constant
    for _ in range(30):  # bisect: the loss is convex in `part`, and falls from 0 on
        middle = 0.5 * (most + least)
        most, least = (middle, least) if mean_loss(middle) < allowed else (most, middle)
    return most, constant


def _strength(
    x: np.ndarray, y: np.ndarray, counts: np.ndarray, loss: Loss, seed: int, usual: float | None
) -> float:
    """Return the best strength for held-out examples, given the usual one if there is one."""
    count, width = y.shape
    if count < 2 * max(width, 2):
        return usual or 0.1
    losses = dict.fromkeys(STRENGTHS, 0.0)
    if usual:
        losses = {one: 0.5 * (np.log10(one / usual) / _SPREAD) ** 2 for one in STRENGTHS}
    for held_out in _folds(y, seed):
        rest = np.setdiff1d(np.arange(count), held_out)
        start = None
        for strength in STRENGTHS:  # each starts from the solution of the stronger penalty
            start = _fitted(x[rest], y[rest], counts[rest], loss, strength, start)
            found, _ = loss(x[held_out] @ start[0] + start[1], y[held_out])
            losses[strength] += float((found * counts[held_out]).sum())
    return min(STRENGTHS, key=lambda strength: losses[strength])


def _folds(y: np.ndarray, seed: int) -> Sequence[np.ndarray]:
    """Return the rows to hold out together, stratified by class."""
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[np.argsort(y[order].argmax(axis=1), kind="stable")]
    folds = [np.sort(order[first::_FOLDS]) for first in range(_FOLDS)]
    return folds if len(y) <= _FEW else [folds[0][:: -(-len(folds[0]) // _HELD_OUT)]]


def _fitted(
    x: np.ndarray,
    y: np.ndarray,
    counts: np.ndarray,
    loss: Loss,
    strength: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    import scipy.optimize  # slow to import, and few commands solve

    size, width = x.shape[1], y.shape[1]
    share = (counts / counts.sum()).astype(x.dtype)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        kernel = flat[:-width].reshape(size, width)
        losses, slopes = loss(x @ kernel.astype(x.dtype) + flat[-width:].astype(x.dtype), y)
        slopes *= share[:, None]
        gradient = x.T @ slopes + strength * kernel
        value = float(losses @ share) + 0.5 * strength * float((kernel**2).sum())
        return value, np.concatenate([gradient.ravel(), slopes.sum(axis=0)]).astype("float64")

    kernel, bias = start or (np.zeros((size, width)), np.zeros(width))
    found = scipy.optimize.minimize(
        objective,
        np.concatenate([kernel.ravel(), bias]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "gtol": 1e-5, "maxcor": 20},
    )
    return found.x[:-width].reshape(size, width), found.x[-width:]
