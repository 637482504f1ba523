"""Running a range test: a step a rate, a test a stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kft.data.batches import Batches
from kft.errors import KftError
from kft.plans import PlannedStage
from kft.range_test.batches import endless
from kft.range_test.curve import has_diverged, smooth, suggest
from kft.range_test.kept import put_back, values
from kft.range_test.result import RangeTest
from kft.range_test.trainer import Trainers, set_rate


@dataclass(frozen=True)
class Sweep:
    """How the rates rise and when a test ends; see `kft.find_learning_rate`."""

    lowest: float
    highest: float
    steps: int
    smoothing: float
    divergence: float

    def run(
        self, trainers: Trainers, planned: Sequence[PlannedStage], batches: Any, settle: int
    ) -> tuple[RangeTest, ...]:
        """Tests each stage.

        Args:
            trainers: Makes the models that train.
            planned: The stages.
            batches: Training data; each test begins with the first batch.
            settle: Steps at the rate found, between a test and the next.
        """
        tests: list[RangeTest] = []
        try:
            for stage in planned:
                start = values(trainers.model)
                tests.append(self._test(trainers, stage, endless(batches)))
                put_back(trainers.model, start)
                rate = tests[-1].valley
                if len(tests) < len(planned) and settle and rate is not None:
                    trainer, following = trainers.at(stage, rate), endless(batches)
                    for _ in range(settle):
                        _step(trainer, following)
        finally:
            if isinstance(batches, Batches):
                batches.close()
        return tuple(tests)

    def _test(
        self, trainers: Trainers, planned: PlannedStage, batches: Iterator[tuple]
    ) -> RangeTest:
        rates = np.geomspace(self.lowest, self.highest, self.steps)
        trainer = trainers.at(planned, self.lowest)
        losses: list[float] = []
        diverged = False
        for rate in rates:
            set_rate(trainer, rate / self.lowest)
            losses.append(_step(trainer, batches))
            diverged = has_diverged(losses, self.smoothing, self.divergence)
            if diverged:
                break
        if not np.isfinite(losses[0]):
            raise KftError(
                f"the loss is {losses[0]} at learning_rate={self.lowest:.2g}, before anything was "
                "learnt: look for NaN or infinity in the data or the weights."
            )
        losses = [loss for loss in losses if np.isfinite(loss)]
        smoothed = smooth(losses, self.smoothing)
        rates = rates[: len(losses)]
        peak = planned.stage.learning_rate
        return RangeTest(
            stage=planned.stage,
            groups=tuple((group.name, group.learning_rate / peak) for group in planned.groups),
            rates=rates,
            losses=np.array(losses),
            smoothed=smoothed,
            diverged=diverged,
            suggestions=suggest(rates, smoothed),
        )


def _step(trainer: keras.Model, batches: Iterator[tuple]) -> float:
    """One step; returns its loss, of the weights before it."""
    trainer.reset_metrics()  # or the loss would be the mean since the first step
    logs = trainer.train_on_batch(*next(batches))
    return float(logs[0] if isinstance(logs, list) else logs)
