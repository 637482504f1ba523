"""`evaluate`: from targets and scores to an `Evaluation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import metrics

from kft.errors import InputError
from kft.evaluation import checks
from kft.evaluation.calibration import expected_calibration_error, reliability_bins
from kft.evaluation.classification import (
    THRESHOLD,
    ClassMetrics,
    MultiLabelEvaluation,
    SingleLabelEvaluation,
)
from kft.evaluation.regression import RegressionEvaluation
from kft.evaluation.result import Evaluation


def evaluate(
    targets: Any, scores: Any, *, task: str, classes: Sequence[str] | None = None
) -> Evaluation:
    """Compare a model's scores with the labels of the same examples.

    ```python
    scores = model.predict(images)
    evaluation = evaluate(labels, scores, task="single_label", classes=["cat", "dog"])
    print(evaluation)
    evaluation.accuracy, evaluation.per_class[0].recall
    ```

    Args:
        targets: "single_label": class indices `[n]`, or one-hot `[n, k]`; "multi_label": 0 and 1,
            `[n, k]`; "regression": numbers, `[n]` or `[n, d]`.
        scores: The model's outputs: probabilities `[n, k]` (single label: each row sums to 1 within
            0.01; for two classes one column, the probability of the second, will do), or predicted
            numbers `[n]` or `[n, d]`.
        task: "single_label", "multi_label" or "regression".
        classes: Names in the order of the columns, by default "0", "1", ...; not for regression.

    Returns:
        A `SingleLabelEvaluation`, `MultiLabelEvaluation` or `RegressionEvaluation`.

    Raises:
        InputError: No examples, NaN or infinite values, shapes that do not fit, a target that is no
            class index, or scores that are no probabilities.
    """
    if task == "single_label":
        return _single_label(*checks.single_label(targets, scores, classes))
    if task == "multi_label":
        return _multi_label(*checks.multi_label(targets, scores, classes))
    if task == "regression":
        if classes is not None:
            raise InputError(
                f"classes={classes!r} for task='regression': numbers have no classes; leave it out"
            )
        return _regression(*checks.regression(targets, scores))
    raise InputError(f"task={task!r}: expected 'single_label', 'multi_label' or 'regression'")


def _single_label(
    targets: np.ndarray, scores: np.ndarray, classes: tuple[str, ...]
) -> SingleLabelEvaluation:
    answers, every = scores.argmax(axis=1), np.arange(len(classes))
    confusion = metrics.confusion_matrix(targets, answers, labels=every)
    per_class = _per_class(targets[:, None] == every, answers[:, None] == every, scores, classes)
    bins = reliability_bins(scores.max(axis=1), answers == targets)
    return SingleLabelEvaluation(
        targets=targets,
        scores=scores,
        classes=classes,
        accuracy=float(metrics.accuracy_score(targets, answers)),
        confusion_matrix=confusion,
        per_class=per_class,
        reliability=bins,
        calibration_error=expected_calibration_error(bins),
        **_averages(per_class),
    )


def _multi_label(
    targets: np.ndarray, scores: np.ndarray, classes: tuple[str, ...]
) -> MultiLabelEvaluation:
    answers = (scores > THRESHOLD).astype(np.int64)
    per_class = _per_class(targets == 1, answers == 1, scores, classes)
    bins = reliability_bins(np.maximum(scores, 1.0 - scores).ravel(), (answers == targets).ravel())
    return MultiLabelEvaluation(
        targets=targets,
        scores=scores,
        classes=classes,
        subset_accuracy=float((answers == targets).all(axis=1).mean()),
        f1_micro=_known(metrics.f1_score(targets.ravel(), answers.ravel(), zero_division=np.nan)),
        mean_average_precision=_mean([one.average_precision for one in per_class]),
        per_class=per_class,
        reliability=bins,
        calibration_error=expected_calibration_error(bins),
        **_averages(per_class),
    )


def _regression(targets: np.ndarray, scores: np.ndarray) -> RegressionEvaluation:
    varied = np.ptp(targets, axis=0) > 0.0
    r2 = metrics.r2_score(targets[:, varied], scores[:, varied]) if varied.any() else None
    return RegressionEvaluation(
        targets=targets,
        scores=scores,
        rmse=float(metrics.root_mean_squared_error(targets, scores)),
        mae=float(metrics.mean_absolute_error(targets, scores)),
        r2=None if r2 is None else float(r2),
    )


def _per_class(
    truth: np.ndarray, answers: np.ndarray, scores: np.ndarray, classes: tuple[str, ...]
) -> tuple[ClassMetrics, ...]:
    """Each class against all others, from boolean columns `[n, k]`."""
    precision, recall, f1 = (
        [_known(value) for value in values]
        for values in metrics.precision_recall_fscore_support(
            _indicator(truth), _indicator(answers), average=None, zero_division=np.nan
        )[:3]
    )
    found = []
    for i, name in enumerate(classes):
        there = truth[:, i]
        support = int(there.sum())
        found.append(
            ClassMetrics(
                name=name,
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                roc_auc=float(metrics.roc_auc_score(there, scores[:, i]))
                if 0 < support < len(there)
                else None,
                average_precision=float(metrics.average_precision_score(there, scores[:, i]))
                if support
                else None,
                support=support,
                predicted=int(answers[:, i].sum()),
            )
        )
    return tuple(found)


def _indicator(marks: np.ndarray) -> np.ndarray:
    # scikit-learn takes a single column for a binary problem; an empty one beside it avoids that.
    return np.pad(marks, ((0, 0), (0, 1))).astype(np.int8)


def _averages(per_class: tuple[ClassMetrics, ...]) -> dict[str, Any]:
    occurring = [one for one in per_class if one.support]
    return {
        "precision": _mean([one.precision or 0.0 for one in occurring]),
        "recall": _mean([one.recall for one in occurring]),
        "f1": _mean([one.f1 for one in occurring]),
        "roc_auc": _mean([one.roc_auc for one in per_class]),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
