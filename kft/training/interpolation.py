"""Interpolation between the weights at the start and at the end of the last stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from kft.callbacks import StagedUnfreezing
from kft.model.values import value_of, values_of

SHARES = (0.75, 0.5, 0.25)  # of the way from first to last weights; ties favour the larger share


class Interpolation(keras.callbacks.Callback):
    """Weights on the line between the start and the end of the last stage.

    With the default stages the line leads from a solved head on the pretrained backbone to the fine-tuned
    model. Models in between often generalise better than either, above all to shifted data
    (WiSE-FT, Wortsman et al. 2022, https://arxiv.org/abs/2109.01903). Each point costs one pass over the
    validation data and is kept only if it is better by the metric that compares epochs.

    Args:
        model: The model to train, with the weights of the newly built recipe, which are the same when
            a run resumes. Copies of them are held.
        unfreezing: The stages.
        share: The point at which the last stage ends, from 0 (its start) to 1 (its end); None tries
            0.25, 0.5 and 0.75, and keeps the end where none is better.
    """

    def __init__(
        self, model: keras.Model, unfreezing: StagedUnfreezing, share: float | None = None
    ) -> None:
        super().__init__()
        self._unfreezing, self._share = unfreezing, share
        if share is not None:
            unfreezing.last_share = share
        self._built = [value_of(weight) for weight in model.weights]
        self._forget()

    def _forget(self) -> None:
        self._stage: int | None = None
        self._moved: dict[int, np.ndarray] = {}  # weights that earlier stages changed, by index

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget any earlier run."""
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Copy the weights that the last stage starts from, if they differ from the initial ones."""
        stage = self._unfreezing.stage_index
        if stage != len(self._unfreezing.stages) - 1 or stage == self._stage:
            return
        self._stage = stage
        now = enumerate(value_of(weight) for weight in self.model.weights)
        self._moved = {i: one for i, one in now if not np.array_equal(one, self._built[i])}

    def get_state(self) -> dict[str, Any]:
        """Return the state that a resumed run needs."""
        return {"stage": self._stage, "moved": {str(i): one for i, one in self._moved.items()}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `get_state` returned."""
        self._stage = state["stage"]
        self._moved = {int(i): one for i, one in state["moved"].items()}

    def settle(self, evaluate: Callable[[], Mapping[str, Any]]) -> None:
        """Set the model to its point on the line, or to the best one.

        Args:
            evaluate: Returns the model's logs on the validation data, with names prefixed by `val_`.
        """
        if self._stage is None or not self._unfreezing.stage_ended:
            return
        ends = values_of(self.model.weights)
        line = [
            (weight, self._moved.get(i, self._built[i]), end)
            for i, (weight, end) in enumerate(ends)
            if keras.backend.is_float_dtype(weight.dtype)
        ]
        line = [one for one in line if not np.array_equal(one[1], one[2])]
        compared = self._unfreezing.compared
        if self._share is not None:
            _go_to(line, self._share)
            if compared is not None:
                compared.end_between(evaluate(), self._share)
            return
        kept = 1.0
        for share in SHARES:
            _go_to(line, share)
            if compared is not None and compared.offer(evaluate(), share):
                kept = share
        _go_to(line, kept)


def _go_to(line: list[tuple[keras.Variable, np.ndarray, np.ndarray]], share: float) -> None:
    for weight, start, end in line:
        if share == 1.0:
            weight.assign(end)
            continue
        first, last = start.astype("float32"), end.astype("float32")
        weight.assign((first + np.float32(share) * (last - first)).astype(end.dtype))
