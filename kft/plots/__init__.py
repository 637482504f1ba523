"""Figures of a run as matplotlib objects, without pyplot and global state.

An evaluation draws itself by `run.evaluation.plot()`.
"""

from kft.plots.history import curves, learning_rates, metric

__all__ = ["curves", "learning_rates", "metric"]
