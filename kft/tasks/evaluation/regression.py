"""Evaluation of models that predict numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.tasks.evaluation import checks, plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Chart, Mistake, Mistakes, Section
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.remarks import same_numbers
from kft.tasks.evaluation.row_scorer import RowScorer
from kft.tasks.evaluation.rows import Rows
from kft.tasks.evaluation.scorer import compact
from kft.tasks.evaluation.worst import Worst

MAX_MISTAKES = 12


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RegressionEvaluation(Evaluation):
    """Evaluation of a model that predicts `d` numbers per example; figures are means over the `d`.

    Attributes:
        rmse: Root mean squared error, in the unit of the targets.
        mae: Mean absolute error, in the unit of the targets.
        r2: Fraction of the variance explained: 1 is perfect, 0 as good as always predicting the
            mean, negative is worse. None if all targets are equal; if `d` is above 1, outputs with
            equal targets are left out of the mean.
    """

    task: str = "regression"
    rows: Rows
    rmse: float
    mae: float
    r2: float | None

    @property
    def scores(self) -> np.ndarray:
        """The predicted numbers, float64 `(n, d)`, read-only; for many examples read from a file."""
        return self.rows.read(slice(self.rows.width // 2))

    @property
    def targets(self) -> np.ndarray:
        """The expected numbers, float64 `(n, d)`, read-only; for many examples read from a file."""
        return self.rows.read(slice(self.rows.width // 2, None))

    @property
    def figures(self) -> Figures:
        """Name and value of each figure; `rmse` first."""
        unit = "in the targets' unit"
        squared, absolute = f"root mean squared error, {unit}", f"mean absolute error, {unit}"
        explained = "fraction of the variance explained"
        return Figures(
            [
                Figure("rmse", self.rmse, label="RMSE", meaning=squared, better="min"),
                Figure("mae", self.mae, label="MAE", meaning=absolute, better="min"),
                Figure("r2", self.r2, label="R²", meaning=explained, better="max"),
            ]
        )

    def some(self, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and scores of evenly spaced examples, both `(m, d)`.

        Args:
            limit: The maximum number of examples.
        """
        chosen = np.unique(np.linspace(0, len(self) - 1, limit).astype(int))
        scores, targets = np.hsplit(self.rows.take(chosen), 2)
        return targets, scores

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the examples with the largest absolute error of any output, which is `size`."""
        worst = Worst(limit)
        for positions, rows in self.rows.blocks():
            scores, targets = np.hsplit(rows, 2)
            errors = np.abs(targets - scores).max(axis=1)
            wrong = errors > 0.0
            worst.add(positions[wrong], errors[wrong], targets[wrong], scores[wrong])
        return tuple(
            Mistake(int(self.examples[at]), _numbers(targets), _numbers(scores), float(error))
            for at, error, targets, scores in worst.rows()
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """A remark if the predicted numbers are nearly equal although the targets are not."""
        ends = [np.stack([rows.min(axis=0), rows.max(axis=0)]) for _, rows in self.rows.blocks()]
        found = np.concatenate(ends)
        scores, targets = np.hsplit(np.stack([found.min(axis=0), found.max(axis=0)]), 2)
        return same_numbers(targets, scores, len(self))

    def plot(self) -> plots.Drawing:
        """Return a matplotlib figure of predicted against expected values."""
        return plots.residuals(self)

    def sections(self) -> tuple[Section, ...]:
        """Return a chart of predicted against expected values, and the largest errors."""
        count = min(len(self), plots.MAX_POINTS)
        description = (
            f"{count:,} of {len(self):,} examples; on the dashed line a prediction is exact."
        )
        chart = Chart("Predicted against expected", description, plots.residuals(self))
        sentence = "predicted {predicted}, expected {expected}, off by {size}"
        found = Mistakes(self.mistakes(MAX_MISTAKES), sentence, ".4g")
        return (
            Section("curves", "Predictions", (chart,)),
            Section("mistakes", "Largest errors", (found,)),
        )


class RegressionScorer(RowScorer):
    """Score expected and predicted numbers batch by batch; see `Scorer`.

    Args:
        task: The name of the task in the evaluation.
    """

    def __init__(self, task: str = "regression") -> None:
        super().__init__(task)

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch: expected and predicted numbers, `(n,)` or `(n, d)`."""
        places = self._places.of(rows, outputs)
        expected, predicted = checks.regression(targets, outputs, places)
        joined = np.hstack([predicted, expected])
        self._add(joined.astype(checks.narrow(targets, outputs)), places)

    def result(self) -> RegressionEvaluation:
        """Return the evaluation of all batches."""
        rows = self._finished()
        squares, absolutes, sums, residual, spread = np.zeros((5, rows.width // 2))
        low, high = np.full_like(sums, np.inf), np.full_like(sums, -np.inf)
        for scores, targets in _pairs(rows):
            squares += ((targets - scores) ** 2).sum(axis=0)
            absolutes += np.abs(scores - targets).sum(axis=0)
            sums += _by_column(targets)
            low, high = np.minimum(low, targets.min(axis=0)), np.maximum(high, targets.max(axis=0))
        varied = high > low
        for scores, targets in _pairs(rows):
            residual += _by_column((targets - scores) ** 2)
            spread += _by_column((targets - sums / len(rows)) ** 2)
        explained = 1 - residual[varied] / spread[varied]
        return RegressionEvaluation(
            task=self._task,
            examples=compact(rows.places),
            rows=rows,
            rmse=float(np.mean(np.sqrt(squares / len(rows)))),
            mae=float(np.mean(absolutes / len(rows))),
            r2=float(np.mean(explained)) if varied.any() else None,
        )


def _pairs(rows: Rows) -> Any:
    """Yield scores and targets block by block, as contiguous arrays."""
    for _, block in rows.blocks():
        yield tuple(np.ascontiguousarray(half) for half in np.hsplit(block, 2))


def _by_column(values: np.ndarray) -> np.ndarray:
    """Return the sum of each column by pairwise summation, which rounds less than row by row."""
    return np.asfortranarray(values).sum(axis=0)


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
