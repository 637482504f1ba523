"""The progress display of a fit in stages: one updated line, or in a log file a line per epoch."""

from __future__ import annotations

import time
from typing import Any

import keras

from kft.callbacks import StagedUnfreezing
from kft.distribution import processes
from kft.printing import how_many
from kft.report.live_line import LiveLine, bar
from kft.report.progress import duration
from kft.report.ticker import Ticker
from kft.stages.stage import Stage

_EVERY = 0.2  # seconds between updates: each one fetches figures from the device
_OWN = ("stage", "learning_rate")  # logs that the stages add, which are shown separately


class StageProgress(keras.callbacks.Callback):
    """A display of the running stage and epoch, its figures, and the longest time the stage can take.

    One line per stage remains: its number of epochs and the best of them, or the last one's value if only
    the ends of stages are compared.

    Args:
        unfreezing: The stages; this callback must come after it.
        live: Whether to update one line during the steps; otherwise a line is printed per epoch.
    """

    def __init__(self, unfreezing: StagedUnfreezing, *, live: bool) -> None:
        super().__init__()
        self._unfreezing, self._live = unfreezing, live
        self._line = LiveLine()
        self._ticker = Ticker(lambda: self._draw(0, self._held_out))
        self._drawn = self._began_epoch = time.monotonic()
        self._held_out: dict[str, Any] = {}
        self._timed: tuple[float, float] | None = None  # when a step ended, and how far it led
        self._first_end: tuple[float, float] | None = None
        self._begin_stage(None)

    def close(self) -> None:
        """Clear the line, whether the fit has ended or failed."""
        self._ticker.stop()
        self._line.clear()

    def say(self, line: str) -> None:
        """Print a line that remains on the screen."""
        self._ticker.stop()
        self._line.clear()
        if processes.rank() == 0:
            print(line, flush=True)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock of a new stage, or of the part of it that this process runs."""
        if self._index != self._unfreezing.stage_index:
            self._begin_stage(self._unfreezing.stage_index)
            self._draw(0, {})
            if self._shows_line:
                self._ticker.start()  # until the first step has compiled, or the head is solved

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the line, at most every 0.2 seconds."""
        self._ticker.stop()
        if self._timed is None:
            self._timed = (time.monotonic(), self._done(batch + 1))
        if time.monotonic() - self._drawn >= _EVERY:
            self._draw(batch + 1, {**self._held_out, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the epoch's figures, and the outcome of the stage if it has ended."""
        logs = logs or {}
        self._epochs += 1
        self._note(logs)
        self._held_out = {name: value for name, value in logs.items() if name.startswith("val_")}
        done = self._unfreezing.stage_epochs
        if self._epochs == 1:
            self._first_end = (time.monotonic(), done)
        elif self._epochs == 2:
            self._timed = self._first_end  # the first epoch also compiled the validation
        if not self._live:
            seconds = duration(time.monotonic() - self._began_epoch)
            figures = _figures(logs)
            if not self._stage.solve:
                figures.append(f"rate {float(logs.get('learning_rate', 0)):.3g}")
            self.say(f"{self._where(done)}: {', '.join(figures)}; {seconds}")
        self._began_epoch = time.monotonic()
        if self._unfreezing.stage_ended or self.model.stop_training:
            self.say(self._outcome(done))
        else:
            self._draw(0, logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Clear the line for whatever is printed next."""
        self.close()

    def _begin_stage(self, index: int | None) -> None:
        self._index, self._epochs = index, 0
        self._best: tuple[int, float] | None = None
        self._held_out = {}
        self._timed = self._first_end = None
        self._began = self._began_epoch = time.monotonic()

    def _note(self, logs: dict[str, Any]) -> None:
        """Remember the epoch if it is the best of the stage, or if only ends of stages are compared."""
        monitor = self._unfreezing.monitor
        value = None if monitor is None else monitor.value(logs)
        if monitor is None or value is None:
            return
        if self._best is None or self._ends or monitor.is_better(value, self._best[1]):
            self._best = (self._unfreezing.stage_epochs, value)

    @property
    def _ends(self) -> bool:
        return self._unfreezing.restore_best == "ends"

    @property
    def _stage(self) -> Stage:
        return self._unfreezing.stages[self._index or 0]

    def _where(self, epoch: int) -> str:
        stages = self._unfreezing.stages
        number = f"stage {(self._index or 0) + 1}/{len(stages)} ({self._stage.label})"
        return f"{number}, epoch {epoch}/{self._stage.epochs}"

    def _draw(self, step: int, logs: dict[str, Any]) -> None:
        if not self._shows_line:
            return
        self._drawn = time.monotonic()
        done = self._done(step)
        epoch = min(self._unfreezing.stage_epochs + 1, self._stage.epochs)
        parts = [self._where(epoch), bar(done / self._stage.epochs), self._time(done)]
        self._line.show("  ".join([*parts, *_figures(logs)]))

    @property
    def _shows_line(self) -> bool:
        return self._live and processes.rank() == 0

    def _done(self, step: int) -> float:
        """Return how many epochs of the stage are done, with the part of the current one."""
        steps = self.params.get("steps")
        return self._unfreezing.stage_epochs + (step / steps if steps else 0)

    def _time(self, done: float) -> str:
        """Return the time that the stage still takes, or has taken until its first step has ended."""
        now = time.monotonic()
        if self._timed is None or done <= self._timed[1]:
            return duration(now - self._began)
        began, before = self._timed
        left = (now - began) / (done - before) * (self._stage.epochs - done)
        return f"{'at most' if self._epochs else 'about'} {duration(left)} left"

    def _outcome(self, done: int) -> str:
        took = duration(time.monotonic() - self._began)
        if self._stage.solve:
            line = f"  solved in {took}"
        elif done < self._stage.epochs:
            line = f"  stopped after {how_many(done, 'epoch')} of {self._stage.epochs}, in {took}"
        else:
            line = f"  {how_many(done, 'epoch')} in {took}"
        if self._best is None or self._unfreezing.monitor is None:
            return line
        epoch, value = self._best
        which = "" if done == 1 or self._ends else f"epoch {epoch} was best: "
        return f"{line}; {which}{self._unfreezing.monitor.name} {value:.4g}"


def _figures(logs: dict[str, Any]) -> list[str]:
    """Format the loss and the metrics; the stage and the rate are shown elsewhere."""
    given = [name for name in logs if name not in _OWN]
    names = sorted(given, key=lambda name: (name.startswith("val_"), not name.endswith("loss")))
    return [f"{name} {float(logs[name]):.4g}" for name in names]
