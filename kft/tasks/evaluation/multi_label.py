"""Evaluation of multi-label classifiers, which predict any number of labels per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kft.tasks.evaluation import checks, plots
from kft.tasks.evaluation.best_threshold import USUAL, ThresholdSearch
from kft.tasks.evaluation.calibration import Reliability, expected_calibration_error
from kft.tasks.evaluation.class_metrics import averages, f1, mean, per_class
from kft.tasks.evaluation.classes import ClassEvaluation
from kft.tasks.evaluation.content import Mistake
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.remarks import same_labels
from kft.tasks.evaluation.row_scorer import RowScorer
from kft.tasks.evaluation.scorer import compact
from kft.tasks.evaluation.worst import Worst


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MultiLabelEvaluation(ClassEvaluation):
    """Evaluation of a classifier with any number of labels per example.

    A label is predicted if its score is at least the threshold. Averages are over the labels that occur
    in the data ("macro"); "micro" pools all decisions.

    Attributes:
        classes: Names of the labels in the order of the model's outputs.
        subset_accuracy: Fraction of examples with every label right.
        precision: Macro average; a label that occurs but is never predicted counts as 0. None if no
            label occurs.
        recall: Macro average; None if no label occurs.
        f1: Macro average; None if no label occurs.
        f1_micro: F1 over all decisions pooled; None if no label occurs and none is predicted.
        mean_average_precision: Mean of the labels' average precision (mAP).
        roc_auc: Mean over the labels that some but not all examples have.
        calibration_error: Expected calibration error over all yes/no decisions, with 15 bins of equal
            width and max(p, 1 - p) as the confidence of a decision (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599).
        per_class: `ClassMetrics` of each label.
        reliability: The bins behind `calibration_error`.
        threshold: The lowest score at which a label counts as predicted, set by the task.
        safe_threshold: The threshold nearest to 0.5 whose `f1_micro` is within a standard error of the best
            one; each decision counts with its target and with its score. None if no label occurs in the
            data, or all labels always do.
    """

    kind: ClassVar[str] = "Multi-label"

    task: str = "multi_label"
    subset_accuracy: float
    f1_micro: float | None
    mean_average_precision: float | None
    threshold: float = USUAL
    safe_threshold: float | None = None

    @property
    def targets(self) -> np.ndarray:
        """The labels, 0 and 1 `(n, classes)`, read-only."""
        found = self.rows.read(slice(len(self.classes), None)).astype(np.int64)
        found.setflags(write=False)
        return found

    @property
    def predicted(self) -> np.ndarray:
        """The answers as 0 and 1, `(n, classes)`."""
        return (self.scores >= self.threshold).astype(np.int64)

    @property
    def figures(self) -> Figures:
        """Name and value of each figure; `subset_accuracy` first."""
        over, gap = "mean over the classes", "gap between confidence and accuracy; 0 is best"
        every, rest = "fraction of examples with every label right", "each against the rest"
        made: list[tuple[str, str, str, Any]] = [
            ("subset_accuracy", "subset accuracy", every, "max"),
            ("precision", "precision", over, "max"),
            ("recall", "recall", over, "max"),
            ("f1", "F1", over, "max"),
            ("f1_micro", "F1, micro", "all decisions pooled", "max"),
            ("mean_average_precision", "mAP", "mean average precision", "max"),
            ("roc_auc", "ROC AUC", f"{over}, {rest}", "max"),
            ("calibration_error", "calibration error", gap, "min"),
        ]
        return Figures(
            Figure(name, getattr(self, name), None, label, meaning, better, is_fraction=True)
            for name, label, meaning, better in made
        )

    def one_against_rest(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each example has a label, and its score for it, both `(n,)`."""
        return self.rows.column(len(self.classes) + index) == 1, self.rows.column(index)

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the examples with the most confident wrong decisions; `size` is the confidence."""
        worst = Worst(limit)
        for positions, rows in self.rows.blocks():
            scores, targets = np.hsplit(rows, 2)
            answers = scores >= self.threshold
            sure = np.where(answers != targets, np.maximum(scores, 1.0 - scores), -1.0)
            label, size = sure.argmax(axis=1), sure.max(axis=1)
            answered = answers[np.arange(len(label)), label]
            wrong = size >= 0.0
            worst.add(positions[wrong], size[wrong], label[wrong], answered[wrong])
        found = []
        for at, size, label, said_yes in worst.rows():
            yes, no = self.classes[label], f"not {self.classes[label]}"
            expected, predicted = (no, yes) if said_yes else (yes, no)
            found.append(Mistake(int(self.examples[at]), expected, predicted, float(size)))
        return tuple(found)

    @property
    def remarks(self) -> tuple[str, ...]:
        """A remark if all examples are predicted to have the same labels although theirs differ."""
        support = np.array([one.support for one in self.per_class])
        predicted = np.array([one.predicted for one in self.per_class])
        return same_labels(self.classes, support, predicted, len(self))

    def plot(self) -> plots.Drawing:
        """Return the precision-recall curves of the labels as a matplotlib figure."""
        return plots.precision_recall(self)


class MultiLabelScorer(RowScorer):
    """Score multi-label targets and probabilities batch by batch; see `Scorer`.

    Args:
        classes: Names of the labels in the order of the model's outputs. Defaults to numbers.
        task: The name of the task in the evaluation.
        threshold: The lowest score at which a label counts as predicted. Defaults to 0.5.
    """

    def __init__(
        self,
        classes: Sequence[str] | None = None,
        task: str = "multi_label",
        threshold: float = USUAL,
    ) -> None:
        super().__init__(task)
        self._classes, self._threshold = classes, threshold

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch: targets of 0 and 1, and probabilities, both `(n, classes)`."""
        places = self._places.of(rows, outputs)
        marks, scores, self._classes = checks.multi_label(targets, outputs, self._classes, places)
        joined = np.hstack([scores, marks])
        self._add(joined.astype(checks.narrow(outputs)), places)

    def result(self) -> MultiLabelEvaluation:
        """Return the evaluation of all batches."""
        rows = self._finished()
        assert self._classes is not None
        classes = tuple(self._classes)
        hits, support, predicted = (np.zeros(len(classes), np.int64) for _ in range(3))
        reliability, search, all_right = Reliability(), ThresholdSearch(), 0
        for _, block in rows.blocks():
            scores, targets = np.hsplit(block, 2)
            answers, there = scores >= self._threshold, targets == 1
            right = answers == there
            all_right += int(right.all(axis=1).sum())
            hits += (answers & there).sum(axis=0)
            support += there.sum(axis=0)
            predicted += answers.sum(axis=0)
            search.add(scores, there)
            reliability.add(np.maximum(scores, 1.0 - scores).ravel(), right.ravel())
        by_class = per_class(
            classes,
            hits,
            support,
            predicted,
            lambda index: (rows.column(len(classes) + index) == 1, rows.column(index)),
        )
        bins = reliability.bins()
        return MultiLabelEvaluation(
            task=self._task,
            examples=compact(rows.places),
            rows=rows,
            classes=classes,
            subset_accuracy=all_right / len(rows),
            f1_micro=f1(int(hits.sum()), int(support.sum()), int(predicted.sum())),
            threshold=self._threshold,
            safe_threshold=search.best(),
            mean_average_precision=mean([one.average_precision for one in by_class]),
            per_class=by_class,
            reliability=bins,
            calibration_error=expected_calibration_error(bins),
            **averages(by_class),
        )
