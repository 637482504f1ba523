"""The best epoch of a run over all its stages, whose weights the run ends with."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kft import graph


class BestEpoch(keras.callbacks.Callback):
    """Lets a fit end with the weights of the epoch that was best, whichever stage it lay in.

    The weights are taken as validation ends, before a stage's early stopping puts back others. Only
    those that can have changed are copied again.

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
        self._stale: set[int] | None = None  # what has changed since; None for all of them

    def get_state(self) -> dict[str, Any]:
        """What a run that goes on needs: the best score so far, and its weights."""
        return {"score": self._score, "weights": self._weights}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `get_state` gave."""
        self._score, self._weights, self._stale = state["score"], state["weights"], None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins anew."""
        self._forget()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps the weights that were validated, if none before were better."""
        score = (logs or {}).get(self.objective.name.removeprefix("val_"))
        if score is None or not math.isfinite(score):
            return
        model = self.model
        if self._stale is not None:
            self._stale |= {id(variable) for variable in graph.changing(model)}
        if self._score is None or self.objective.better_than(float(score), self._score):
            self._score = float(score)
            kept: list[Any] = list(self._weights or ()) or [None] * len(model.weights)
            self._weights = [
                np.array(ops.convert_to_numpy(v)) if self._is_stale(v) or old is None else old
                for v, old in zip(model.weights, kept, strict=True)
            ]
            self._stale = set()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Puts the best weights back."""
        if self._weights is not None:
            model = self.model
            if self._stale is not None:
                self._stale |= {id(variable) for variable in graph.changing(model)}
            for variable, value in zip(model.weights, self._weights, strict=True):
                if self._is_stale(variable):
                    variable.assign(value)
        self._weights = None

    def _is_stale(self, variable: keras.Variable) -> bool:
        return self._stale is None or id(variable) in self._stale
