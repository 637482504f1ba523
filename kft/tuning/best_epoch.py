"""The best epoch of a run over all its stages, whose weights the run ends with."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops


class BestEpoch(keras.callbacks.Callback):
    """Lets a fit end with the weights of the epoch that was best, whichever stage it lay in.

    The weights are taken as validation ends, before a stage's early stopping puts back others.

    Args:
        objective: a `keras_tuner.Objective` whose name begins with `val_`.
    """

    def __init__(self, objective: Any) -> None:
        super().__init__()
        self.objective = objective
        self._forget()

    def _forget(self) -> None:
        self._score: float | None = None
        self._weights: list[np.ndarray] | None = None

    def get_state(self) -> dict[str, Any]:
        """What a run that goes on needs: the best score so far, and its weights."""
        return {"score": self._score, "weights": self._weights}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` gave."""
        self._score, self._weights = state["score"], state["weights"]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins anew."""
        self._forget()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps the weights that were validated, if none before were better."""
        score = (logs or {}).get(self.objective.name.removeprefix("val_"))
        if score is None or not math.isfinite(score):
            return
        if self._score is None or self.objective.better_than(float(score), self._score):
            self._score = float(score)
            self._weights = [np.array(ops.convert_to_numpy(v)) for v in self.model.weights]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Puts the best weights back."""
        if self._weights is not None:
            for variable, value in zip(self.model.weights, self._weights, strict=True):
                variable.assign(value)
        self._weights = None
