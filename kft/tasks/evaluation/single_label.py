"""Evaluation of single-label classifiers, which predict one class per example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kft.tasks.evaluation import checks, plots
from kft.tasks.evaluation.calibration import Reliability, expected_calibration_error
from kft.tasks.evaluation.class_metrics import averages, per_class
from kft.tasks.evaluation.classes import ClassEvaluation
from kft.tasks.evaluation.content import Chart, Grid, Mistake, Section, Table, Text
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.intervals import score_interval
from kft.tasks.evaluation.remarks import same_class
from kft.tasks.evaluation.row_scorer import RowScorer
from kft.tasks.evaluation.scorer import compact
from kft.tasks.evaluation.worst import Worst

MAX_CONFUSION = 12
MAX_CONFUSION_ON_A_PAGE = 30
MAX_CONFUSED_PAIRS = 10


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SingleLabelEvaluation(ClassEvaluation):
    """Evaluation of a classifier with one class per example; the highest score is its answer.

    Of equal scores the first class wins. Averages are over the classes that occur in the data
    ("macro"): a class that occurs but is never predicted counts with precision 0, as in scikit-learn;
    a class that does not occur is left out, although predictions of it still count as wrong.

    Attributes:
        classes: Names in the order of the model's outputs.
        accuracy: Fraction of right answers.
        accuracy_interval: Lower and upper end of the 95 % confidence interval of the accuracy.
        baseline_accuracy: Accuracy of always answering the most frequent class of these data.
        precision: Macro average.
        recall: Macro average, also called balanced accuracy.
        f1: Macro average.
        roc_auc: Mean over the classes, each against the rest; None if only one class occurs.
        calibration_error: Expected calibration error of the answer's probability, with 15 bins of equal
            width (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
        confusion_matrix: Counts `[k, k]`; rows are the true classes, columns the predicted ones.
        per_class: `ClassMetrics` of each class.
        reliability: The bins behind `calibration_error`.
    """

    kind: ClassVar[str] = "Single label"

    task: str = "single_label"
    accuracy: float
    confusion_matrix: np.ndarray

    def __post_init__(self) -> None:
        self.confusion_matrix.setflags(write=False)

    @property
    def targets(self) -> np.ndarray:
        """The true classes as numbers, `(n,)`, read-only."""
        found = self.rows.column(len(self.classes)).astype(np.int64)
        found.setflags(write=False)
        return found

    @property
    def predicted(self) -> np.ndarray:
        """The answers as class numbers, `(n,)`."""
        found = np.empty(len(self), np.int64)
        for positions, rows in self.rows.blocks():
            found[positions] = rows[:, :-1].argmax(axis=1)
        return found

    @property
    def baseline_accuracy(self) -> float:
        """Accuracy of always answering the most frequent class of these data."""
        return float(self.confusion_matrix.sum(axis=1).max() / len(self))

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy; see `score_interval`."""
        return score_interval(self.accuracy, len(self))

    @property
    def figures(self) -> Figures:
        """Name and value of each figure; `accuracy` first."""
        interval, over = self.accuracy_interval, "mean over the classes"
        rest, gap = f"{over}, each against the rest", "gap between confidence and accuracy"
        frequent = "accuracy of always answering the most frequent class"
        made: list[tuple[str, Any, str, str, Any]] = [
            ("precision", None, "precision", over, "max"),
            ("recall", None, "recall", over, "max"),
            ("f1", None, "F1", over, "max"),
            ("roc_auc", None, "ROC AUC", rest, "max"),
            ("calibration_error", None, "calibration error", f"{gap}; 0 is best", "min"),
            ("baseline_accuracy", None, "baseline", frequent, None),
        ]
        accuracy = ("accuracy", interval, "accuracy", "fraction of right answers", "max")
        return Figures(
            Figure(name, getattr(self, name), between, label, meaning, better, is_fraction=True)
            for name, between, label, meaning, better in (accuracy, *made)
        )

    def one_against_rest(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each example belongs to a class, and its score for it, both `(n,)`."""
        return self.rows.column(len(self.classes)) == index, self.rows.column(index)

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the most confident wrong answers; `size` is their probability."""
        worst = Worst(limit)
        for positions, rows in self.rows.blocks():
            scores, targets = rows[:, :-1], rows[:, -1].astype(np.int64)
            answers = scores.argmax(axis=1)
            wrong = answers != targets
            sure = scores.max(axis=1)
            worst.add(positions[wrong], sure[wrong], targets[wrong], answers[wrong])
        return tuple(
            Mistake(int(self.examples[at]), self.classes[true], self.classes[answer], float(size))
            for at, size, true, answer in worst.rows()
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """A remark if all examples are predicted as one class although several occur."""
        return same_class(self.classes, self.confusion_matrix)

    def plot(self) -> plots.Drawing:
        """Return the confusion matrix as a matplotlib figure."""
        return plots.confusion(self)

    def tables(self) -> tuple[Table, ...]:
        """Return the figures, the classes, and for at most 12 classes the confusion matrix."""
        if len(self.classes) > MAX_CONFUSION:
            return super().tables()
        matrix = zip(self.classes, self.confusion_matrix.tolist(), strict=True)
        confusion = Table(
            "Confusion matrix: rows are true, columns predicted",
            ("true", *self.classes),
            tuple((name, *row) for name, row in matrix),
        )
        return (*super().tables(), confusion)

    def sections(self) -> tuple[Section, ...]:
        """Return the classes, the confusion matrix, the curves and the worst mistakes."""
        classes, *others = super().sections()
        return (classes, self._confusion_section(), *others)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers, without the scores."""
        return {
            **super().to_dict(),
            "accuracy_interval": list(self.accuracy_interval),
            "confusion_matrix": self.confusion_matrix.tolist(),
        }

    def _confusion_section(self) -> Section:
        note, shown = "Rows are the true classes, columns the predicted ones.", self._pairs()
        if len(self.classes) <= MAX_CONFUSION_ON_A_PAGE:
            note += (
                " Blue shows how much of a row is right; orange shows errors, "
                "the darkest being the largest fraction of a row."
            )
            counts = tuple(map(tuple, self.confusion_matrix.tolist()))
            body: Any = Grid("Confusion matrix", self.classes, counts)
        else:
            description = f"{len(self.classes)} classes by number, from 0; the diagonal is right."
            body = Chart("Confusion matrix", description, plots.confusion(self))
        beside = (body, shown) if shown is not None else (body,)
        return Section("confusion", "Confusion matrix", (Text(note), beside))

    def _pairs(self) -> Table | None:
        """Return the most confused pairs of classes; None for two classes, which the matrix shows."""
        matrix = self.confusion_matrix
        wrong = matrix - np.diag(np.diag(matrix))
        order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_CONFUSED_PAIRS]
        pairs = [np.unravel_index(i, matrix.shape) for i in order if wrong.flat[i]]
        if not pairs or len(self.classes) == 2:
            return None
        rows = tuple(
            (self.classes[t], self.classes[p], int(matrix[t, p]), matrix[t, p] / matrix[t].sum())
            for t, p in pairs
        )
        head = ("true", "predicted", "examples", "of the true class")
        return Table("Most frequent confusions", head, rows)


class SingleLabelScorer(RowScorer):
    """Score class numbers and probabilities batch by batch; see `Scorer`.

    Args:
        classes: Names of the classes in the order of the model's outputs. Defaults to numbers.
        task: The name of the task in the evaluation.
    """

    def __init__(self, classes: Sequence[str] | None = None, task: str = "single_label") -> None:
        super().__init__(task)
        self._classes = classes

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch: class numbers or one-hot rows, and probabilities of the classes."""
        places = self._places.of(rows, outputs)
        checked = checks.single_label(targets, outputs, self._classes, places)
        labels, scores, self._classes = checked
        # A column that was computed from the other one is float64, and is kept exactly.
        as_given = np.shape(outputs) == scores.shape
        joined = np.column_stack([scores, labels])
        self._add(joined.astype(checks.narrow(outputs if as_given else scores)), places)

    def result(self) -> SingleLabelEvaluation:
        """Return the evaluation of all batches."""
        rows = self._finished()
        assert self._classes is not None
        classes = tuple(self._classes)
        confusion = np.zeros((len(classes), len(classes)), np.int64)
        reliability = Reliability()
        for _, block in rows.blocks():
            scores, targets = block[:, :-1], block[:, -1].astype(np.int64)
            answers = scores.argmax(axis=1)
            np.add.at(confusion, (targets, answers), 1)
            reliability.add(scores.max(axis=1), answers == targets)
        truth = rows.column(len(classes))
        by_class = per_class(
            classes,
            np.diag(confusion),
            confusion.sum(axis=1),
            confusion.sum(axis=0),
            lambda index: (truth == index, rows.column(index)),
        )
        bins = reliability.bins()
        return SingleLabelEvaluation(
            task=self._task,
            examples=compact(rows.places),
            rows=rows,
            classes=classes,
            accuracy=float(np.trace(confusion) / len(rows)),
            confusion_matrix=confusion,
            per_class=by_class,
            reliability=bins,
            calibration_error=expected_calibration_error(bins),
            **averages(by_class),
        )
