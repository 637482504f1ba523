"""Remarks on an evaluation: what is suspicious about the answers, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["same_class", "same_labels", "same_numbers"]

_FEWEST = 10  # examples; the answers to fewer may well be equal
_FLAT = 0.01  # of the range of the targets
_FREQUENT = 0.5  # share of a class above which balancing may help
_WAY_OUT = (
    "the answer hardly depends on the input. Check that inputs and labels belong together and that the loss "
    "falls; if it does not, try other learning rates (`kft find-lr`), and otherwise train longer"
)


def same_class(classes: Sequence[str], confusion: np.ndarray) -> tuple[str, ...]:
    """Return a remark if all examples are predicted as one class although several occur.

    Args:
        classes: The names of the classes.
        confusion: Counts `[k, k]`; rows are the true classes, columns the predicted ones.
    """
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    count, occurring = int(support.sum()), int(np.count_nonzero(support))
    if count < _FEWEST or occurring < 2 or np.count_nonzero(predicted) > 1:
        return ()
    always = int(predicted.argmax())
    balance = ""
    if support[always] > _FREQUENT * count:
        balance = (
            ", and balance the classes, of which this is the most frequent (`balance='weights'`)"
        )
    return (
        f"All {count:,} examples are predicted as {classes[always]!r}, but {occurring} classes occur: "
        f"{_WAY_OUT}{balance}.",
    )


def same_labels(
    classes: Sequence[str], support: np.ndarray, predicted: np.ndarray, count: int
) -> tuple[str, ...]:
    """Return a remark if all examples get the same labels although theirs differ.

    Args:
        classes: The names of the labels.
        support: How many examples have each label.
        predicted: How many examples are predicted to have each label.
        count: The number of examples.
    """
    varied = (support > 0) & (support < count)
    constant = (predicted == 0) | (predicted == count)
    if count < _FEWEST or not varied.any() or not constant.all():
        return ()
    names = [name for name, found in zip(classes, predicted, strict=True) if found]
    answer = f"the labels {', '.join(map(repr, names))}" if names else "no label"
    return (f"All {count:,} examples are predicted to have {answer}: {_WAY_OUT}.",)


def same_numbers(targets: np.ndarray, scores: np.ndarray, count: int) -> tuple[str, ...]:
    """Return a remark if the predicted numbers are nearly equal although the targets are not.

    Args:
        targets: The lowest and the highest expected number of each output, `(2, d)`.
        scores: The same of the predicted numbers.
        count: The number of examples.
    """
    expected, predicted = np.ptp(targets, axis=0), np.ptp(scores, axis=0)
    if count < _FEWEST or not expected.any() or (predicted > _FLAT * expected)[expected > 0].any():
        return ()
    return (
        "All predictions are nearly equal: they vary by less than a hundredth of what the targets do, so "
        f"{_WAY_OUT}.",
    )
