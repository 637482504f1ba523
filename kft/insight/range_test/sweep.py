"""Running a range test: one step per rate, one test per stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kft.data.batches import Batches
from kft.errors import KftError
from kft.insight.range_test.batches import endless
from kft.insight.range_test.curve import has_diverged, smooth, suggest
from kft.insight.range_test.result import RangeTest
from kft.insight.range_test.trainer import Trainers, set_rate
from kft.model.values import put_back, values_of
from kft.report.progress import Progress
from kft.stages.plan import PlannedStage


@dataclass(frozen=True)
class Sweep:
    """The rates, the end of a test, and how progress is shown; see `kft.find_learning_rate`."""

    lowest: float
    highest: float
    steps: int
    smoothing: float
    divergence: float
    verbose: int | str = "auto"

    def run(
        self, trainers: Trainers, planned: Sequence[PlannedStage], batches: Any, settle: int
    ) -> tuple[RangeTest, ...]:
        """Test each stage.

        Args:
            trainers: Makes the models that train.
            planned: The stages.
            batches: Training data; each test begins with the first batch.
            settle: Steps at the rate found between two tests.
        """
        tests: list[RangeTest] = []
        most = len(planned) * self.steps + (len(planned) - 1) * settle
        opened = closing(batches) if isinstance(batches, Batches) else nullcontext()
        with opened, Progress("learning rates", most, verbose=self.verbose) as progress:
            for stage in planned:
                place = f"stage {len(tests) + 1} of {len(planned)}, {stage.stage.label}"
                progress.begin(f"{place}: rising rates")
                start = values_of(trainers.model.variables)
                tests.append(self._test(trainers, stage, endless(batches), progress))
                put_back(start)
                if len(tests) == len(planned):
                    break
                rate = tests[-1].valley
                if rate is None:
                    progress.drop(settle)
                    continue
                progress.begin(f"{place}: settling at {rate:.2g}")
                trainer, following = trainers.at(stage, rate), endless(batches)
                for _ in range(settle):
                    _step(trainer, following)
                    progress.advance()
        return tuple(tests)

    def _test(
        self,
        trainers: Trainers,
        planned: PlannedStage,
        batches: Iterator[tuple],
        progress: Progress,
    ) -> RangeTest:
        rates = np.geomspace(self.lowest, self.highest, self.steps)
        trainer = trainers.at(planned, self.lowest)
        losses: list[float] = []
        diverged = False
        for rate in rates:
            set_rate(trainer, rate / self.lowest)
            losses.append(_step(trainer, batches))
            progress.advance()
            diverged = has_diverged(losses, self.smoothing, self.divergence)
            if diverged:
                progress.drop(self.steps - len(losses))
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
    """Take one step, and return the loss of the weights before it."""
    trainer.reset_metrics()  # otherwise the loss would be the mean since the first step
    logs = trainer.train_on_batch(*next(batches))
    return float(logs[0] if isinstance(logs, list) else logs)
