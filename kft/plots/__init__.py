"""Figures of a run, as matplotlib objects: no pyplot, no global state.

An evaluation draws itself: `run.evaluation.plot()`.
"""

from kft.plots.history import curves, learning_rates, metric

__all__ = ["curves", "learning_rates", "metric"]
