"""Figures of each class, computed from counts and from the scores of one class at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics


@dataclass(frozen=True)
class ClassMetrics:
    """Figures of one class against the rest; None where the data do not define them.

    Attributes:
        name: The class.
        precision: Fraction of the examples predicted as this class that belong to it; None if there
            are none.
        recall: Fraction of the examples of this class that were found; None if there are none.
        f1: Harmonic mean of the two, 2 TP / (2 TP + FP + FN); None if the class neither occurs nor
            is predicted.
        roc_auc: Area under the ROC curve, ties count half; None unless there are examples of this
            class and of others.
        average_precision: Area under the precision-recall curve; None unless there are examples of
            this class.
        support: Number of examples of this class.
        predicted: Number of examples predicted as this class.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None
    support: int
    predicted: int


def per_class(
    classes: Sequence[str],
    hits: np.ndarray,
    support: np.ndarray,
    predicted: np.ndarray,
    ranked: Callable[[int], tuple[np.ndarray, np.ndarray]],
) -> tuple[ClassMetrics, ...]:
    """Return the figures of each class against the rest.

    Args:
        classes: The names.
        hits: The number of examples of each class that were predicted as it.
        support: The number of examples of each class.
        predicted: The number of examples predicted as each class.
        ranked: Maps the number of a class to whether each example belongs to it, and their scores.
    """
    found = []
    for i, name in enumerate(classes):
        hit, there, answers = int(hits[i]), int(support[i]), int(predicted[i])
        is_here, scores = ranked(i) if there else (np.zeros(0, bool), np.zeros(0))
        found.append(
            ClassMetrics(
                name=name,
                precision=ratio(hit, answers),
                recall=ratio(hit, there),
                f1=f1(hit, there, answers),
                roc_auc=float(metrics.roc_auc_score(is_here, scores))
                if 0 < there < len(is_here)
                else None,
                average_precision=float(metrics.average_precision_score(is_here, scores))
                if there
                else None,
                support=there,
                predicted=answers,
            )
        )
    return tuple(found)


def averages(per_class: Sequence[ClassMetrics]) -> dict[str, Any]:
    """Return the macro averages, over the classes that occur, as arguments of an evaluation."""
    occurring = [one for one in per_class if one.support]
    return {
        "precision": mean([one.precision or 0.0 for one in occurring]),
        "recall": mean([one.recall for one in occurring]),
        "f1": mean([one.f1 for one in occurring]),
        "roc_auc": mean([one.roc_auc for one in per_class]),
    }


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None, or None if there are none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def ratio(part: int, whole: int) -> float | None:
    """Return a fraction, or None if the whole is 0."""
    return part / whole if whole else None


def f1(hits: int, support: int, predicted: int) -> float | None:
    """Return 2 TP / (2 TP + FP + FN), or None if all of them are 0."""
    return ratio(2 * hits, support + predicted)
