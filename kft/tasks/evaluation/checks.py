"""Checks that convert targets and scores to valid arrays, or explain what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kft.errors import InputError

# Half precision changes the sum of a softmax over many classes by about this much; logits miss by far more.
SUM_TOLERANCE = 0.01
RANGE_TOLERANCE = 0.001


def single_label(
    targets: Any, scores: Any, classes: Sequence[str] | None, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Return class indices `[n]`, probabilities `[n, k]` and class names of a single-label problem.

    Targets may be one-hot; for two classes, scores may be one column, the probability of the second.
    `places` are the positions of the examples in the data, for messages.
    """
    scores = _finite(scores, "scores", places)
    if scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1):
        positive = scores.reshape(-1)
        _probabilities(positive, "a sigmoid")
        scores = np.stack([1.0 - positive, positive], axis=1)
    _two_dimensional(scores, "scores")
    _probabilities(scores, "a softmax")
    sums = scores.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > SUM_TOLERANCE)
    if len(wrong):
        raise InputError(
            f"the scores of {len(wrong)} of {len(scores)} examples do not sum to 1 "
            f"(row {places[wrong[0]]}: {sums[wrong[0]]:.4g}): expected one probability per class; "
            "apply a softmax, or pass task='multi_label' if several labels can be true at once"
        )
    names = _names(classes, scores.shape[1])

    targets = _finite(targets, "targets", places)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 2 and targets.shape[1] == len(names):
        if not (np.isin(targets, (0.0, 1.0)).all() and (targets.sum(axis=1) == 1.0).all()):
            raise InputError(
                f"targets of shape {targets.shape} are not one-hot: single_label expects one class "
                "index per example; pass indices (soft targets are for training only), "
                "or task='multi_label'"
            )
        targets = targets.argmax(axis=1)
    if targets.ndim != 1:
        raise InputError(
            f"targets have shape {targets.shape}: "
            "single_label expects one class index per example, [n]"
        )
    _same_length(targets, scores)
    outside = np.flatnonzero(
        (targets != np.floor(targets)) | (targets < 0) | (targets >= len(names))
    )
    if len(outside):
        raise InputError(
            f"target {targets[outside[0]]:g} of example {places[outside[0]]} is not a class index: "
            f"the scores have {len(names)} columns, so expected a whole number from 0 to "
            f"{len(names) - 1}; evaluate with the classes of the training"
        )
    return targets.astype(np.int64), scores, names


def multi_label(
    targets: Any, scores: Any, classes: Sequence[str] | None, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Return 0/1 targets `[n, k]`, one probability per label `[n, k]`, and label names."""
    scores = _finite(scores, "scores", places)
    _two_dimensional(scores, "scores")
    _probabilities(scores, "a sigmoid")
    names = _names(classes, scores.shape[1])
    targets = _finite(targets, "targets", places)
    _two_dimensional(targets, "targets")
    _same_length(targets, scores)
    if targets.shape != scores.shape:
        raise InputError(
            f"targets have shape {targets.shape} and scores {scores.shape}: multi_label expects "
            "one 0 or 1 for each score; evaluate with the classes of the training"
        )
    other = np.argwhere(~np.isin(targets, (0.0, 1.0)))
    if len(other):
        row, column = other[0]
        raise InputError(
            f"target {targets[row, column]:g} of example {places[row]}, label {column}: "
            "expected 0 or 1 (multi-hot)"
        )
    return targets.astype(np.int64), scores, names


def regression(targets: Any, scores: Any, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return expected and predicted numbers, both `[n, d]`."""
    targets, scores = (
        _finite(targets, "targets", places),
        _finite(scores, "scores", places),
    )
    columns = []
    for name, values in (("targets", targets), ("scores", scores)):
        if values.ndim == 1:
            values = values[:, None]
        _two_dimensional(values, name)
        columns.append(values)
    _same_length(*columns)
    if columns[0].shape != columns[1].shape:
        raise InputError(
            f"targets have {columns[0].shape[1]} values per example and scores "
            f"{columns[1].shape[1]}: regression expects as many predictions as targets"
        )
    return columns[0], columns[1]


def narrow(*values: Any) -> type[np.floating]:
    """Return float32 if all arrays are floats of at most 32 bits or booleans, otherwise float64."""
    kinds = {np.asarray(one).dtype for one in values}
    # bfloat16 has a dtype kind of its own, "V".
    fits = all(one.kind in "fVb" and one.itemsize <= 4 for one in kinds)
    return np.float32 if fits else np.float64


def _finite(values: Any, name: str, places: np.ndarray) -> np.ndarray:
    try:
        # bfloat16 has a dtype kind of its own, so only a cast shows whether values are numbers.
        array = np.array(values).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} are not numbers in a regular array ({error}): expected a NumPy array"
        ) from error
    if array.ndim == 0 or len(array) == 0:
        raise InputError(
            f"{name} are empty (shape {array.shape}): expected at least one example to evaluate on"
        )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        rows = np.unique(bad[:, 0])
        hint = (
            "the model's weights may have diverged: look at the loss in its history"
            if name == "scores"
            else "drop them"
        )
        raise InputError(
            f"{name} of {len(rows)} of {len(array)} examples are NaN or infinite "
            f"(first: example {_named(places, rows[0])}): expected finite numbers; {hint}"
        )
    return array


def finite_outputs(outputs: np.ndarray, what: str = "scores") -> None:
    """Refuse outputs of a model that are NaN or infinite.

    Args:
        outputs: The outputs that count.
        what: What messages call them.
    """
    if not np.isfinite(outputs).all():
        raise InputError(
            f"{what} are NaN or infinite: the model's weights may have diverged: look at the loss in its "
            "history."
        )


def _named(places: np.ndarray, row: int) -> int:
    """Return the position of a row in the data, or the row itself for surplus targets."""
    return int(places[row]) if row < len(places) else int(row)


def _two_dimensional(array: np.ndarray, name: str) -> None:
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(f"{name} have shape {array.shape}: expected [examples, columns]")


def _probabilities(scores: np.ndarray, activation: str) -> None:
    low, high = scores.min(), scores.max()
    if low < -RANGE_TOLERANCE or high > 1.0 + RANGE_TOLERANCE:
        raise InputError(
            f"scores go from {low:.4g} to {high:.4g}: expected probabilities between 0 and 1; "
            f"these look like logits: apply {activation} first"
        )


def _names(classes: Sequence[str] | None, count: int) -> tuple[str, ...]:
    names = (
        tuple(str(i) for i in range(count)) if classes is None else tuple(str(c) for c in classes)
    )
    if len(names) != count:
        raise InputError(
            f"{len(names)} classes for scores with {count} columns: "
            "expected one name per column, in the model's order"
        )
    return names


def _same_length(targets: np.ndarray, scores: np.ndarray) -> None:
    if len(targets) != len(scores):
        raise InputError(
            f"{len(targets)} targets for {len(scores)} rows of scores: "
            "expected one row per example, in the same order"
        )
