"""Evaluation of a model that predicts numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from kft.evaluation.result import Evaluation, Mistake


@dataclass(frozen=True, eq=False, repr=False)
class RegressionEvaluation(Evaluation):
    """A model that predicts one number per example, or `d` of them; figures are means over the `d`.

    Attributes:
        rmse: Root of the mean squared error, in the unit of the targets.
        mae: Mean absolute error, in the unit of the targets.
        r2: Fraction of the variance explained: 1 is perfect, 0 as good as always predicting the
            mean, negative worse than that. None when the targets are all equal; of several outputs,
            one with equal targets is left out of the mean.
        targets: `[n, d]`.
        scores: `[n, d]`.
    """

    task: ClassVar[str] = "regression"
    rmse: float = field(kw_only=True)
    mae: float = field(kw_only=True)
    r2: float | None = field(kw_only=True)

    @property
    def figures(self) -> dict[str, float | None]:
        """Name and value of every figure that is a single number."""
        return {"rmse": self.rmse, "mae": self.mae, "r2": self.r2}

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """The examples with the largest absolute error of any output; `size` is that error."""
        errors = np.abs(self.targets - self.scores).max(axis=1)
        order = [i for i in np.argsort(-errors, kind="stable") if errors[i] > 0.0][:limit]
        return tuple(
            Mistake(int(i), _numbers(self.targets[i]), _numbers(self.scores[i]), float(errors[i]))
            for i in order
        )


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
