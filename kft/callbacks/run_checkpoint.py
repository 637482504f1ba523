"""Committing the state of a fit, so that it resumes where it was killed."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import warnings
from typing import Any

import keras

from kft.arguments import check_choice, check_whole, path_of, plain
from kft.arguments.calls import CheckedCalls
from kft.backends import backend
from kft.callbacks.commit_timer import CommitTimer
from kft.callbacks.fit_identity import FORMAT, check_commit, describe_fit
from kft.callbacks.fit_state import FitState, begin_at
from kft.callbacks.others import other_callbacks, report_stop_iteration
from kft.distribution import processes
from kft.errors import KftError
from kft.runs import commits
from kft.runs.locks import RunLock
from kft.runs.reading import check_tree
from kft.runs.signals import StopSignals, deferred_signals, end
from kft.runs.skipping import SkippedSteps
from kft.runs.snapshots import largest_commit


class RunCheckpoint(CheckedCalls, keras.callbacks.Callback):
    """Commit the whole state of a fit to disk, and resume from the newest commit.

    Repeat the same call of `fit` after a crash, and it resumes from the newest commit: weights,
    optimizer state, `trainable` flags, stage, learning-rate position, loss scale, moving averages,
    the state of `StagedUnfreezing`, `EarlyStopping`, `ReduceLROnPlateau`, `ModelCheckpoint` and of
    every callback that has `get_state()` and `set_state(state)`, seed generators, the position in
    the epoch, and the history. With deterministic operations and the same number of threads the
    result is the same to the last bit, provided that the order of the data is a function of the
    epoch, as in `kft.data`: a resumed epoch reads again, and drops, the batches already trained on.

    A commit is written next to the others, synced, hashed and renamed, so that a process killed at
    any moment leaves only complete commits; a damaged one is recognized by its hashes, and the one
    before it is used. After SIGTERM or SIGINT the current step finishes, the state is committed, and
    the process ends with exit code 75; a second signal ends it at once. Commits are JSON and
    safetensors: reading them runs no code.

    Args:
        directory: The directory of the commits; it must contain nothing else.
        every: When to commit: `"epoch"`, a number of steps, or a time such as `"10min"`, `"30s"`, `"2h"`
            or a `datetime.timedelta`. Defaults to `"epoch"`. A run also commits when it begins, ends,
            or is asked to stop.
        keep: How many commits to keep. Defaults to 3.
        on_mismatch: What to do if stages, optimizer or steps per epoch differ from those of the commit:
            `"error"`, or `"continue"` with the new ones. Defaults to `"error"`.

    Raises:
        InputError: If an argument is wrong; or, when `fit` begins, if another process uses the
            directory, or it contains a run of another model, optimizer or stages.
        KftError: If, when `fit` begins, all commits are damaged.
        Interrupted: After a signal, once the state is committed.
        NonFiniteLossError: If the loss is NaN or infinite when a commit is due; the commit before it
            remains the newest.

    Example:

    ```python
    model.fit(x, y, epochs=20, shuffle=False, callbacks=[kft.callbacks.RunCheckpoint("runs/a")])
    ```
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        every: str | int | datetime.timedelta = "epoch",
        keep: int = 3,
        on_mismatch: str = "error",
    ) -> None:
        super().__init__()
        self.directory = path_of("directory", directory)
        self.every, self.keep, self.on_mismatch = plain(every), plain(keep), on_mismatch
        check_whole("keep", self.keep, "commits")
        check_choice("on_mismatch", on_mismatch, ("error", "continue"))
        self._lock = RunLock(self.directory)
        self._signals = StopSignals()
        self._waiting = contextlib.ExitStack()  # while training, signals wait for a commit
        self._trainer: keras.Model | None = None
        self._batches: Any = None
        self._rate_factor = 1.0
        self._reset()

    def _reset(self) -> None:
        self._callbacks: list[keras.callbacks.Callback] = []
        self._timer = CommitTimer(self.every)
        self._identity: dict[str, Any] = {}
        self._resuming: commits.Commit | None = None
        self._rejoining: commits.Commit | None = None
        self._skipped = SkippedSteps()
        self._epoch = 0

    @property
    def position(self) -> tuple[int, int] | None:
        """Epoch and step that the run is about to resume from; None if it starts from the beginning."""
        if self._resuming is None:
            return None
        position = self._resuming.state["position"]
        if position["stopped"]:
            return self.params["epochs"], 0
        return position["epoch"], position["step"]

    def follow(self, trainer: keras.Model, batches: Any = None) -> None:
        """Set the part of the model on which `fit` is about to be called, and its data.

        Args:
            trainer: The part whose training step runs and whose metrics are saved. Defaults to the model.
            batches: Data with a method `skip(epoch, steps)`, which makes the first steps of an epoch
                cheap to read; None for other data.
        """
        self._trainer, self._batches = trainer, batches

    def slow_down(self, factor: float) -> None:
        """Multiply the learning rates once the run resumes from its commit.

        Factors accumulate until a commit contains the new rates.

        Args:
            factor: The factor, such as 0.5.
        """
        self._rate_factor *= factor

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Look for a commit to resume from."""
        self._reset()
        report_stop_iteration(self)
        self._callbacks = other_callbacks(self)
        try:
            self._identity = describe_fit(self._fit, self.params.get("steps"))
            most = largest_commit(self.model, self.trainer)
            found = processes.on_first(lambda: self._read_newest(most), most)
            if found is not None:
                self._resuming = commits.Commit(**found)
                check_commit(
                    self._resuming, self._identity, self.directory, self.on_mismatch == "continue"
                )
                begin_at(self.model, self.position[0] if self.position else None)
                self._fit.enter_stages(self._resuming, before_own=True)
                if self.params.get("verbose"):
                    print(self._resume_message(self._resuming))
        except BaseException:
            self._lock.release()
            raise
        self._signals = self._waiting.enter_context(deferred_signals())

    def _read_newest(self, most: int) -> dict[str, Any] | None:
        """Return the fields of the newest commit, which can be sent to other processes."""
        if self.directory.is_dir():
            check_tree(self.directory)
        self._lock.acquire()
        commits.remove_leftovers(self.directory)
        newest = commits.read_newest(self.directory, most)
        return None if newest is None else vars(newest)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restore the state, if the run resumes in this epoch."""
        self._epoch = epoch
        if self._resuming is None:
            return
        commit, steps = self._resuming, self._resuming.state["position"]["step"]
        self._resuming = None
        begin_at(self.model, None)
        self._fit.enter_stages(commit, before_own=False)
        self._fit.restore(commit, self._rate_factor)
        self._timer.restart(epoch)
        self._rejoining = commit
        if steps and self._batches is not None:
            self._batches.skip(epoch, steps)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Commit before the step, if a commit is due."""
        if self._rejoining is not None:
            if batch < self._rejoining.state["position"]["step"]:
                if not self._skipped.active:  # by now every callback has begun the epoch
                    results = functools.partial(self._restored_results, self._rejoining)
                    self._skipped.begin(self.trainer, self._callbacks, results)
                return
            self._rejoin(self._rejoining)
        # The signal may reach any of several processes; the first one decides when a commit is due.
        due, stop = processes.any_of(
            processes.rank() == 0 and self._timer.is_due(self._epoch),
            self._signals.received is not None,
        )
        if due or stop:
            self._commit(batch)
        if stop:
            self._stop()
        self._timer.steps += self.trainer.steps_per_execution

    def _restored_results(self, commit: commits.Commit) -> dict[str, Any]:
        """Return the results that each skipped step reports."""
        self._fit.restore_metrics(commit)
        results = self.trainer.get_metrics_result()
        return {name: keras.ops.convert_to_numpy(value) for name, value in results.items()}

    def _rejoin(self, commit: commits.Commit) -> None:
        """Resume training at the step of the commit.

        The state is restored once more, since other callbacks have begun the epoch and seen the skipped
        steps. A commit from the end of a run has no state of the epoch that begins now.
        """
        self._rejoining = None
        self._fit.sync()
        if self._skipped.active:
            self._skipped.end()
            self._fit.restore_metrics(commit)
        if not commit.state["ended"]:
            self._fit.restore(commit, self._rate_factor)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record that the epoch is over."""
        self._epoch = epoch + 1
        if self._rejoining is not None and not self._rejoining.state["ended"]:
            commit, steps = self._rejoining, self._rejoining.state["position"]["step"]
            if not self.model.stop_training:
                raise KftError(
                    f"Epoch {epoch + 1} ended before its step {steps + 1}, where {commit.path} was "
                    "made: there are fewer batches than in that run. Pass its data."
                )
            self._rejoin(commit)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Commit the end of the run."""
        commit, self._resuming = self._resuming, None
        if commit is None:
            self._commit(0, ended=True)
        else:  # no epoch was left to run
            self._fit.enter_stages(commit, before_own=False)
            self._fit.restore(commit, self._rate_factor)
        (stop,) = processes.any_of(self._signals.received is not None)
        if stop:
            self._stop()
        self.close()

    def close(self) -> None:
        """Release the directory and the signals; call it also after a fit that failed."""
        if getattr(self, "_model", None) is not None:
            begin_at(self.model, None)
        self._skipped.release()
        self._waiting.close()
        self._lock.release()
        self._trainer = self._batches = None

    @property
    def trainer(self) -> keras.Model:
        """The part of the model that `fit` runs on."""
        return self.model if self._trainer is None else self._trainer

    @property
    def _fit(self) -> FitState:
        """The current state of the fit; a run may call `fit` on one part after another."""
        return FitState(self.model, self.trainer, self._callbacks, self)

    def _commit(self, step: int, *, ended: bool = False) -> None:
        if processes.on_first(lambda: self._write_commit(step, ended)):
            self._rate_factor = 1.0  # the commit, from which every process resumes, includes it
        self._timer.restart(self._epoch)

    def _write_commit(self, step: int, ended: bool) -> bool:
        """Return whether the commit was written; a full disk must not stop the training."""
        fit_state, arrays = self._fit.collect(self._epoch, step, self.directory)
        stopped = ended and bool(self.model.stop_training)
        state = {
            "format": FORMAT,
            "ended": ended,
            "threads": backend().cpu_threads(),
            "position": {"epoch": self._epoch, "step": step, "stopped": stopped},
            "identity": self._identity,
            **fit_state,
        }
        try:
            commits.write_commit(self.directory, state, arrays, self.keep)
        except OSError as error:
            warnings.warn(
                f"The state could not be committed to {self.directory} ({error}); the commits before "
                "it stay. Make room there: until a commit succeeds, a crash loses what came after.",
                stacklevel=2,
            )
            return False
        return True

    def _stop(self) -> None:
        name = self._signals.received.name if self._signals.received else "Another process"
        self.close()
        end(name, f"the state is committed to {self.directory}; run it again to resume from there.")

    def _resume_message(self, commit: commits.Commit) -> str:
        position = commit.state["position"]
        if position["stopped"]:
            return f"{commit.path} is the end of a run: nothing is left to train."
        epoch, step = position["epoch"] + 1, position["step"] + 1
        return f"Resuming from {commit.path}: epoch {epoch} of the run, step {step}."
