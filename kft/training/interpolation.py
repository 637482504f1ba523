"""The weights between those that the last stage begins with and those that it ends with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from kft.callbacks import StagedUnfreezing
from kft.model.values import value_of, values_of

SHARES = (0.75, 0.5, 0.25)  # of the way from the first weights to the last; a tie goes to the last


class Interpolation(keras.callbacks.Callback):
    """Tries weights on the line from where the last stage begins to where it ends.

    With the default stages the line leads from a solved head on the pretrained backbone to the model that
    was trained from there. What lies between often errs less than either, on other kinds of examples
    above all (WiSE-FT, Wortsman et al. 2022, https://arxiv.org/abs/2109.01903). Each point costs a pass over
    the validation data, and remains only where it is better, by what epochs are compared by.

    Args:
        model: The model that is trained, with the weights that the recipe is built with; a run that
            resumes has the same. Copies of them are held.
        unfreezing: The stages.
        share: Which point to take, from 0 (where the last stage begins) to 1, without trying any; None
            tries a quarter, half and three quarters of the way.
    """

    def __init__(
        self, model: keras.Model, unfreezing: StagedUnfreezing, share: float | None = None
    ) -> None:
        super().__init__()
        self._unfreezing, self._share = unfreezing, share
        self._built = [value_of(weight) for weight in model.weights]
        self._forget()

    def _forget(self) -> None:
        self._stage: int | None = None
        self._moved: dict[int, np.ndarray] = {}  # what earlier stages changed, by position

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget a run before this one."""
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep what the last stage begins with, where it is not what the recipe is built with."""
        stage = self._unfreezing.stage_index
        if stage != len(self._unfreezing.stages) - 1 or stage == self._stage:
            return
        self._stage = stage
        now = enumerate(value_of(weight) for weight in self.model.weights)
        self._moved = {i: one for i, one in now if not np.array_equal(one, self._built[i])}

    def get_state(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"stage": self._stage, "moved": {str(i): one for i, one in self._moved.items()}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `get_state` returned."""
        self._stage = state["stage"]
        self._moved = {int(i): one for i, one in state["moved"].items()}

    def settle(self, judged: Callable[[], Mapping[str, Any]]) -> None:
        """Leave the model with the best weights on the line; nothing changes where none are better.

        Args:
            judged: Returns the logs of the model on the validation data, their names with `val_`.
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
        if self._share is not None:
            _go_to(line, self._share)
            return
        kept = 1.0
        for share in SHARES:
            _go_to(line, share)
            if self._unfreezing.offer(judged(), share):
                kept = share
        _go_to(line, kept)


def _go_to(line: list[tuple[keras.Variable, np.ndarray, np.ndarray]], share: float) -> None:
    for weight, start, end in line:
        if share == 1.0:
            weight.assign(end)
            continue
        first, last = start.astype("float32"), end.astype("float32")
        weight.assign((first + np.float32(share) * (last - first)).astype(end.dtype))
