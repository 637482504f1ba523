"""Figures of a run and of an evaluation, as matplotlib objects: no pyplot, no global state."""

from kft.plots.evaluation import (
    confusion,
    overview,
    precision_recall,
    reliability,
    residuals,
    roc,
)
from kft.plots.history import curves, learning_rates, metric

__all__ = [
    "confusion",
    "curves",
    "learning_rates",
    "metric",
    "overview",
    "precision_recall",
    "reliability",
    "residuals",
    "roc",
]
