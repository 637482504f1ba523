"""Early stopping of trials that are worse than the median of earlier ones."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import keras

from kft.family.run_files import HISTORY
from kft.runs.json_files import read_json
from kft.tuning.trials import Trial

FEWEST = 3  # trials to compare with before one is stopped


class MedianStopping(keras.callbacks.Callback):
    """End a fit whose best score so far is worse than the median of other trials' mean scores.

    The rule is that of Golovin et al. 2017, https://doi.org/10.1145/3097983.3098043: after each
    epoch the best score so far is compared with the median, over the trials that got as far, of
    their mean score up to that epoch.

    Args:
        objective: A `keras_tuner.Objective`.
        others: The scores by epoch of each trial that ended.
    """

    def __init__(self, objective: Any, others: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.objective, self.others = objective, others
        self._best: float | None = None

    def get_state(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {"best": self._best}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_state` returned."""
        self._best = state["best"]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget the best score of an earlier fit."""
        self._best = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Compare the fit with the other trials."""
        score = (logs or {}).get(self.objective.name)
        if score is None:
            return
        if self._best is None or self.objective.better_than(float(score), self._best):
            self._best = float(score)
        means = [sum(s[: epoch + 1]) / (epoch + 1) for s in self.others if len(s) > epoch]
        if len(means) >= FEWEST:
            median = statistics.median(means)
            if self.objective.better_than(median, self._best):
                self.model.stop_training = True


def scores_by_epoch(trials: Sequence[Trial], objective: Any) -> list[list[float]]:
    """Return the scores of each successful trial, from the history in its run directory."""
    histories = (
        read_json(trial.run_dir / HISTORY) for trial in trials if trial.run_dir is not None
    )
    return [[float(score) for score in history[objective.name]] for history in histories]
