"""The learning-rate schedule of a stage: a warmup to its peak, then constant or decaying."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kft.errors import InputError


@keras.saving.register_keras_serializable("kft")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly to its peak, then stays or decays to zero.

    Args:
        peak: The highest rate.
        start: The step at which the schedule begins. Defaults to 0.
        initial: The rate from which the warmup rises. Defaults to 0.
        warmup_steps: Steps of the warmup; the last one has the peak rate. Defaults to 0.
        decay: `"constant"`, `"linear"` or `"cosine"` (Loshchilov and Hutter 2017,
            https://arxiv.org/abs/1608.03983). Defaults to `"constant"`.
        total_steps: Steps from `start` to the end of the decay; required unless it is constant.
    """

    def __init__(
        self,
        peak: float,
        *,
        start: int = 0,
        initial: float = 0.0,
        warmup_steps: int = 0,
        decay: str = "constant",
        total_steps: int | None = None,
    ) -> None:
        if decay != "constant" and total_steps is None:
            raise InputError(f"`decay={decay!r}` needs `total_steps`, the steps until it ends.")
        self.peak = float(peak)
        self.start = int(start)
        self.initial = float(initial)
        self.warmup_steps = int(warmup_steps)
        self.decay = decay
        self.total_steps = total_steps
        self.scale: keras.Variable | None = None

    def __call__(self, step: Any) -> Any:
        """Return the rate in the step with index `step`, a number or a tensor, as a float32 scalar."""
        done = ops.cast(step, "float32") - float(self.start)
        rate = self._after_warmup(done)
        if self.warmup_steps > 0:
            risen = (done + 1.0) / float(self.warmup_steps)
            rising = self.initial + (self.peak - self.initial) * risen
            rate = ops.where(done < self.warmup_steps, rising, rate)
        return rate if self.scale is None else rate * ops.cast(self.scale, "float32")

    def at(self, step: int) -> float:
        """Return the result of `__call__` for the step with index `step`, without a tensor."""
        done = step - self.start
        scale = 1.0 if self.scale is None else float(ops.convert_to_numpy(self.scale))
        if done < self.warmup_steps:
            rate = self.initial + (self.peak - self.initial) * (done + 1) / self.warmup_steps
        elif self.decay == "constant":
            rate = self.peak
        else:
            steps = max((self.total_steps or 0) - self.warmup_steps, 1)
            rate = self.peak * self._left(min((done - self.warmup_steps) / steps, 1.0), math.cos)
        return rate * scale

    def _after_warmup(self, done: Any) -> Any:
        if self.decay == "constant":
            return ops.full_like(done, self.peak)
        steps = max((self.total_steps or 0) - self.warmup_steps, 1)
        progress = ops.clip((done - float(self.warmup_steps)) / float(steps), 0.0, 1.0)
        return self.peak * self._left(progress, ops.cos)

    def _left(self, progress: Any, cosine: Callable[[Any], Any]) -> Any:
        """Return the remaining fraction of the peak for a progress, a number or a tensor, from 0 to 1."""
        if self.decay == "linear":
            return 1.0 - progress
        return 0.5 * (1.0 + cosine(math.pi * progress))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of an equal schedule."""
        names = ("peak", "start", "initial", "warmup_steps", "decay", "total_steps")
        return {name: getattr(self, name) for name in names}
