"""Evaluations of classifiers: one label per example, or several."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from kft.evaluation.calibration import ReliabilityBin
from kft.evaluation.result import Evaluation, Mistake

# A label counts as predicted above this probability, as in keras.metrics.BinaryAccuracy.
THRESHOLD = 0.5


@dataclass(frozen=True)
class ClassMetrics:
    """Figures of one class against all others; None where the data do not define them.

    Attributes:
        name: The class.
        precision: Of the examples predicted as this class, the fraction that is; None if none was.
        recall: Of the examples of this class, the fraction that was found; None if there is none.
        f1: Harmonic mean of the two, 2 TP / (2 TP + FP + FN); None if the class was neither there
            nor predicted.
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


@dataclass(frozen=True, eq=False, repr=False)
class _Classification(Evaluation):
    classes: tuple[str, ...] = field(kw_only=True)
    precision: float | None = field(kw_only=True)
    recall: float | None = field(kw_only=True)
    f1: float | None = field(kw_only=True)
    roc_auc: float | None = field(kw_only=True)
    calibration_error: float = field(kw_only=True)
    per_class: tuple[ClassMetrics, ...] = field(kw_only=True)
    reliability: tuple[ReliabilityBin, ...] = field(kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain dicts, lists, strings and numbers, without the scores."""
        return {
            **super().to_dict(),
            "classes": list(self.classes),
            "per_class": [asdict(one) for one in self.per_class],
            "reliability": [asdict(one) for one in self.reliability],
        }


@dataclass(frozen=True, eq=False, repr=False)
class SingleLabelEvaluation(_Classification):
    """A classifier with one true class per example; the class with the highest score is its answer.

    Equal scores go to the class that comes first. Averages are over the classes that occur in the
    data ("macro"): one that occurs and was never predicted counts with precision 0, as in
    scikit-learn; a class that does not occur is left out of them, though answers that name it still
    count as wrong.

    Attributes:
        classes: Names in the order of the model's outputs.
        accuracy: Fraction of right answers.
        accuracy_interval: Lower and upper end of the accuracy's 95 % confidence interval.
        baseline_accuracy: Accuracy of always answering the most frequent class of these data.
        precision: Macro average.
        recall: Macro average, also called balanced accuracy.
        f1: Macro average.
        roc_auc: Mean over the classes, each against all others; None if only one class occurs.
        calibration_error: Expected calibration error of the answer's probability, 15 bins of equal
            width (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        confusion_matrix: Counts `[k, k]`; rows are the true classes, columns the predicted ones.
        per_class: `ClassMetrics` of each class.
        reliability: The bins behind `calibration_error`.
    """

    task: ClassVar[str] = "single_label"
    accuracy: float = field(kw_only=True)
    confusion_matrix: np.ndarray = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.confusion_matrix.setflags(write=False)

    @property
    def predicted(self) -> np.ndarray:
        """The answers as class indices, `[n]`."""
        return self.scores.argmax(axis=1)

    @property
    def baseline_accuracy(self) -> float:
        """Accuracy of always answering the most frequent class of these data."""
        return float(self.confusion_matrix.sum(axis=1).max() / len(self))

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """Where the accuracy on endless such data lies with 95 % confidence (score interval).

        Wilson: Probable Inference, the Law of Succession, and Statistical Inference, 1927.
        """
        z, n, p = 1.959963984540054, len(self), self.accuracy
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def figures(self) -> dict[str, float | None]:
        """Name and value of every figure that is a single number."""
        names = (
            "accuracy",
            "precision",
            "recall",
            "f1",
            "roc_auc",
            "calibration_error",
            "baseline_accuracy",
        )
        return {name: getattr(self, name) for name in names}

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """The wrong answers the model was surest of; `size` is the probability it gave to them."""
        answers = self.predicted
        confidence = self.scores.max(axis=1)
        wrong = np.flatnonzero(answers != self.targets)
        worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
        return tuple(
            Mistake(
                int(i),
                self.classes[self.targets[i]],
                self.classes[answers[i]],
                float(confidence[i]),
            )
            for i in worst
        )

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain dicts, lists, strings and numbers, without the scores."""
        return {
            **super().to_dict(),
            "accuracy_interval": list(self.accuracy_interval),
            "confusion_matrix": self.confusion_matrix.tolist(),
        }


@dataclass(frozen=True, eq=False, repr=False)
class MultiLabelEvaluation(_Classification):
    """A classifier with any number of labels per example, predicted where scores are above 0.5.

    Averages are over the labels that occur in the data ("macro"); "micro" pools all decisions.

    Attributes:
        classes: Names of the labels in the order of the model's outputs.
        subset_accuracy: Fraction of examples with every label right.
        precision: Macro average; a label that occurs and was never predicted counts with 0. None if
            no label occurs.
        recall: Macro average, None if no label occurs.
        f1: Macro average, None if no label occurs.
        f1_micro: F1 over all decisions pooled; None if no label occurs and none was predicted.
        mean_average_precision: Mean of the labels' average precision (mAP).
        roc_auc: Mean over the labels that occur and do not always occur.
        calibration_error: Expected calibration error over all yes/no decisions, the confidence of a
            decision being max(p, 1 - p), 15 bins of equal width (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599).
        per_class: `ClassMetrics` of each label.
        reliability: The bins behind `calibration_error`.
    """

    task: ClassVar[str] = "multi_label"
    subset_accuracy: float = field(kw_only=True)
    f1_micro: float | None = field(kw_only=True)
    mean_average_precision: float | None = field(kw_only=True)

    @property
    def predicted(self) -> np.ndarray:
        """The answers as 0 and 1, `[n, k]`."""
        return (self.scores > THRESHOLD).astype(np.int64)

    @property
    def figures(self) -> dict[str, float | None]:
        """Name and value of every figure that is a single number."""
        names = (
            "subset_accuracy",
            "precision",
            "recall",
            "f1",
            "f1_micro",
            "mean_average_precision",
            "roc_auc",
        )
        return {name: getattr(self, name) for name in (*names, "calibration_error")}

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """The examples with the surest wrong decision on a label; `size` is its confidence."""
        answers = self.predicted
        confidence = np.where(
            answers != self.targets, np.maximum(self.scores, 1.0 - self.scores), -1.0
        )
        label, worst = confidence.argmax(axis=1), confidence.max(axis=1)
        order = [i for i in np.argsort(-worst, kind="stable") if worst[i] >= 0.0][:limit]
        found = []
        for i in order:
            name = self.classes[label[i]]
            yes = bool(answers[i, label[i]])
            found.append(
                Mistake(
                    int(i),
                    f"not {name}" if yes else name,
                    name if yes else f"not {name}",
                    float(worst[i]),
                )
            )
        return tuple(found)
