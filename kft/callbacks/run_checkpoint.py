"""A fit that resumes where it was killed."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kft.arguments import is_whole, shown
from kft.callbacks.fellows import (
    fellow_callbacks,
    give_state,
    names_of,
    report_stop_iteration,
    state_of,
)
from kft.callbacks.staged_unfreezing import StagedUnfreezing
from kft.distribution import processes
from kft.errors import InputError, KftError, NonFiniteLossError
from kft.model.flags import Flags, flags_of, set_flags
from kft.runs import commits
from kft.runs.differences import plan_difference
from kft.runs.locks import RunLock
from kft.runs.packing import pack, unpack
from kft.runs.randomness import random_state, restore_random_state
from kft.runs.reading import check_tree
from kft.runs.signals import StopSignals, end, put_off
from kft.runs.skipping import SkippedSteps
from kft.runs.snapshots import largest_commit, restore, snapshot
from kft.runs.threads import cpu_threads
from kft.stages.optimizer import unscaled
from kft.stages.regrouping import describe_optimizer, strategy_scope

_FORMAT = 2
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_INTERVAL = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(s|min|h)")


class RunCheckpoint(keras.callbacks.Callback):
    """Commit the whole state of a fit to disk, and resume from the newest commit.

    Call `fit` in the same way again after a crash, and it resumes where the newest commit was made:
    weights, optimizer state, `trainable` flags, stage, learning-rate position, loss scale, moving
    averages, the state of `StagedUnfreezing`, `EarlyStopping`, `ReduceLROnPlateau`,
    `ModelCheckpoint` and of every callback that has `get_state()` and `set_state(state)`, seed
    generators, the position in the epoch, and the history. With deterministic operations and the
    same number of threads the result is the same to the last bit, provided that the order of the
    data is a function of the epoch, as that of `kft.data` is: an epoch that was begun reads the
    batches that were trained on again and drops them.

    A commit is written beside the others, synced, hashed and renamed, so that a process killed at
    any moment leaves whole commits only; a damaged one is recognised by its hashes, and the one
    before it is used. SIGTERM and SIGINT let the step finish, commit, and end the process with exit
    code 75; a second one ends it at once. JSON and safetensors only: reading runs no code.

    Args:
        directory: holds the commits, and nothing else.
        every: when to commit: `"epoch"`, a number of steps, or a time as `"10min"`, `"30s"`, `"2h"`
            or a `datetime.timedelta`. Defaults to `"epoch"`. A run also commits as it begins, ends,
            or is asked to stop.
        keep: how many commits stay. Defaults to 3.
        on_mismatch: what to do where stages, optimizer or steps per epoch are not those of the commit:
            `"error"`, or `"continue"` with those given now. Defaults to `"error"`.

    Raises:
        InputError: an argument is wrong; when `fit` begins, the directory is in use by another
            process, or holds a run of another model, optimizer or stages.
        KftError: when `fit` begins, every commit is damaged.
        Interrupted: a signal came and the state was committed.
        NonFiniteLossError: the loss was NaN or infinite when a commit was due; the commit before it
            stays the newest.

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
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise InputError(f"`keep={keep!r}`: pass how many commits stay, 1 or more.")
        if on_mismatch not in ("error", "continue"):
            raise InputError(f"`on_mismatch={on_mismatch!r}`: pass 'error' or 'continue'.")
        self.directory = Path(directory)
        self.every, self.keep, self.on_mismatch = every, keep, on_mismatch
        self._steps, self._seconds = read_interval(every)
        self._lock = RunLock(self.directory)
        self._signals = StopSignals()
        self._waiting = contextlib.ExitStack()  # while training, signals wait for a commit
        self._trainer: keras.Model | None = None
        self._batches: Any = None
        self._rate_factor = 1.0
        self._reset()

    def _reset(self) -> None:
        self._fellows: list[keras.callbacks.Callback] = []
        self._identity: dict[str, Any] = {}
        self._resuming: commits.Commit | None = None
        self._rejoining: commits.Commit | None = None
        self._skipped = SkippedSteps()
        self._epoch = 0
        self._committed: tuple[int, float] | None = None  # epoch and time of the newest commit
        self._steps_since = 0

    @property
    def position(self) -> tuple[int, int] | None:
        """Epoch and step that the run is about to resume from; None if it begins anew."""
        if self._resuming is None:
            return None
        position = self._resuming.state["position"]
        if position["stopped"]:
            return self.params["epochs"], 0
        return position["epoch"], position["step"]

    def follow(self, trainer: keras.Model, batches: Any = None) -> None:
        """Tell which part of the model `fit` is about to be called on, and with which data.

        Args:
            trainer: the part whose training step runs and whose metrics count. Defaults to the model.
            batches: data with a method `skip(epoch, steps)`, which makes the first steps of an epoch
                cheap to read; None for any other.
        """
        self._trainer, self._batches = trainer, batches

    def slow_down(self, factor: float) -> None:
        """Multiply the learning rates from the commit on that the run resumes from.

        Calls add up until a commit holds the new rates.

        Args:
            factor: what the rates are multiplied by, such as 0.5.
        """
        self._rate_factor *= factor

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Look for a commit to resume from."""
        self._reset()
        report_stop_iteration(self)
        self._fellows = fellow_callbacks(self)
        try:
            self._identity = json.loads(json.dumps(self._describe(), default=str))
            most = largest_commit(self.model, self.trainer)
            found = processes.decided(lambda: self._read_newest(most), most)
            if found is not None:
                self._resuming = commits.Commit(**found)
                self._compare(self._resuming)
                begin_at(self.model, self.position[0] if self.position else None)
                self._enter_stages(self._resuming, self._fellows[: self._fellows.index(self)])
                if self.params.get("verbose"):
                    print(self._greeting(self._resuming))
        except BaseException:
            self._lock.release()
            raise
        self._signals = self._waiting.enter_context(put_off())

    def _read_newest(self, most: int) -> dict[str, Any] | None:
        """The fields of the newest commit, which can be sent to other processes."""
        if self.directory.is_dir():
            check_tree(self.directory)
        self._lock.acquire()
        commits.remove_leftovers(self.directory)
        newest = commits.read_newest(self.directory, most)
        return None if newest is None else vars(newest)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Restore the state, if this is the epoch that the run resumes in."""
        self._epoch = epoch
        if self._resuming is None:
            return
        commit, steps = self._resuming, self._resuming.state["position"]["step"]
        self._resuming = None
        begin_at(self.model, None)
        self._enter_stages(commit, self._fellows[self._fellows.index(self) :])
        self._restore(commit)
        self._committed, self._steps_since = (epoch, time.monotonic()), 0
        self._rejoining = commit
        if steps and self._batches is not None:
            self._batches.skip(epoch, steps)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Commit before the step, if it is time to."""
        if self._rejoining is not None:
            if batch < self._rejoining.state["position"]["step"]:
                if not self._skipped.active:  # by now every callback has begun the epoch
                    results = functools.partial(self._restored_results, self._rejoining)
                    self._skipped.begin(self.trainer, self._fellows, results)
                return
            self._rejoin(self._rejoining)
        # Of several processes each may get the signal, and the first one knows what is due.
        due, stop = processes.any_of(
            processes.rank() == 0 and self._is_due(), self._signals.received is not None
        )
        if due or stop:
            self._commit(batch)
        if stop:
            self._stop()
        self._steps_since += self.trainer.steps_per_execution

    def _restored_results(self, commit: commits.Commit) -> dict[str, Any]:
        """Restore the metrics, so that a progress bar shows what they were."""
        restore(self.model, self.trainer, commit.arrays, ("metrics",))
        results = self.trainer.get_metrics_result()
        return {name: keras.ops.convert_to_numpy(value) for name, value in results.items()}

    def _rejoin(self, commit: commits.Commit) -> None:
        """Take steps again where the commit was made.

        The state is restored once more: other callbacks have begun the epoch since, and have seen
        the skipped steps. A commit made as a run ended knows nothing of the epoch that begins now.
        """
        self._rejoining = None
        self._sync()
        if self._skipped.active:
            self._skipped.end()
            restore(self.model, self.trainer, commit.arrays, ("metrics",))
        if not commit.state["ended"]:
            self._restore(commit)

    def _restore(self, commit: commits.Commit) -> None:
        """Restore flags, weights, the optimizer and the callbacks."""
        flags = Flags.from_text(commit.state["flags"])
        if flags != (now := flags_of(self.model)) and flags.fit(now):
            set_flags(self.model, flags)
            self.trainer.make_train_function(force=True)
            self.trainer.make_test_function(force=True)
        self._build_optimizer(commit)
        restore(self.model, self.trainer, commit.arrays, ("model", "optimizer"))
        if self._rate_factor != 1:
            unscaled(self.model.optimizer).scale_rates(self._rate_factor)
        self._restore_callbacks(commit)

    def _build_optimizer(self, commit: commits.Commit) -> None:
        """Make the variables of the optimizer, which on TensorFlow does so in its first step."""
        optimizer = self.model.optimizer
        saved = sum(name.startswith("optimizer/") for name in commit.arrays)
        if not optimizer.built and saved > len(optimizer.variables):
            with strategy_scope(self.model):
                optimizer.build(self.trainer.trainable_variables)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note that the epoch is over."""
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
        else:  # there was no epoch left
            self._enter_stages(commit, self._fellows[self._fellows.index(self) :])
            self._restore(commit)
        (stop,) = processes.any_of(self._signals.received is not None)
        if stop:
            self._stop()
        self.close()

    def close(self) -> None:
        """Release the directory and the signals; also after a fit that ended with an error."""
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

    def _is_due(self) -> bool:
        if self._committed is None:
            return True
        epoch, moment = self._committed
        if self._steps is not None:
            return self._steps_since >= self._steps
        if self._seconds is not None:
            return time.monotonic() - moment >= self._seconds
        return self._epoch != epoch

    def _commit(self, step: int, *, ended: bool = False) -> None:
        if processes.decided(lambda: self._write_commit(step, ended)):
            self._rate_factor = 1.0  # it is in the commit, from which every process resumes
        self._committed, self._steps_since = (self._epoch, time.monotonic()), 0

    def _write_commit(self, step: int, ended: bool) -> bool:
        """Return whether it could be written; a full disk is no reason to stop training."""
        self._sync()
        arrays = snapshot(self.model, self.trainer)
        self._check_finite(arrays, step)
        callbacks = {
            name: state
            for name, one in zip(names_of(self._fellows), self._fellows, strict=True)
            if one is not self and (state := state_of(one)) is not None
        }
        stopped = ended and bool(self.model.stop_training)
        state = {
            "format": _FORMAT,
            "ended": ended,
            "flags": flags_of(self.model).to_text(),
            "threads": cpu_threads(),
            "position": {"epoch": self._epoch, "step": step, "stopped": stopped},
            "identity": self._identity,
            "callbacks": pack(callbacks, arrays, "callbacks"),
            "random": pack(random_state(), arrays, "random"),
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

    def _sync(self) -> None:
        """On JAX, give the variables the values of the last step."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()

    def _check_finite(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        for name, array in arrays.items():
            kind = name.partition("/")[0]
            if kind == "optimizer" or np.isfinite(np.asarray(array, "float32")).all():
                continue
            raise NonFiniteLossError(
                f"{name.split('/', 2)[2]} is NaN or infinite before step {step + 1} of epoch "
                f"{self._epoch + 1}. The newest commit in {self.directory} is the last good state: "
                "lower the learning rate or pass an optimizer with clipnorm=1.0, and look for NaN in "
                "the data."
            )

    def _stop(self) -> None:
        name = self._signals.received.name if self._signals.received else "Another process"
        self.close()
        end(name, f"the state is committed to {self.directory}; run it again to resume from there.")

    def _greeting(self, commit: commits.Commit) -> str:
        position = commit.state["position"]
        if position["stopped"]:
            return f"{commit.path} is the end of a run: nothing is left to train."
        return f"Resuming from {commit.path}: epoch {position['epoch'] + 1}, step {position['step'] + 1}."

    def _describe(self) -> dict[str, Any]:
        """Return what has to be equal for a run to resume from a commit."""
        stages = [one.describe() for one in self._fellows if isinstance(one, StagedUnfreezing)]
        return {
            "backend": keras.backend.backend(),
            "weights": [
                # Keras numbers the names of weights that were given none.
                [re.sub(r"_\d+$", "", w.name), list(w.shape), str(w.dtype)]
                for w in self.model.weights
            ],
            "optimizer": describe_optimizer(self.model),
            "layers": len(flags_of(self.model).layers),
            "stages": stages[0] if stages else None,
            "steps": self.params.get("steps"),
        }

    def _compare(self, commit: commits.Commit) -> None:
        """Check that a commit is of this fit; whoever has handed it over may have written anything."""
        if commit.state.get("format") != _FORMAT:
            raise KftError(
                f"{commit.path} has format {commit.state.get('format')!r}, but this version of kft "
                f"reads format {_FORMAT}: resume with the version that wrote it."
            )
        if not self._is_sound(commit.state):
            raise KftError(f"{commit.path} is damaged: remove it, and the one before it is used.")
        before, now = commit.state["identity"].get("backend"), self._identity["backend"]
        if before != now and self.on_mismatch == "error":
            raise InputError(
                f"`{self.directory}` was begun on {before}, and this is {now}, which rounds in another "
                f"way: resume with KERAS_BACKEND={before}, or pass another directory."
            )
        difference = plan_difference(commit.state["identity"], self._identity)
        if difference and self.on_mismatch == "error":
            raise InputError(
                f"`{self.directory}` holds another run: {'; '.join(difference[:5])}. Pass another "
                "directory or the same settings, or on_mismatch='continue' to resume with these."
            )
        before, now = commit.state.get("threads"), cpu_threads()
        if None not in (before, now) and before != now and processes.rank() == 0:
            warnings.warn(
                f"{commit.path} was made with {before} threads per operation, and this process uses "
                f"{now}: the weights will differ in their last bits from those of a run that nobody "
                "interrupted. Give the process as many cores or threads to avoid that.",
                stacklevel=2,
            )

    def _is_sound(self, state: dict[str, Any]) -> bool:
        position = state.get("position")
        if not isinstance(position, dict) or not isinstance(position.get("stopped"), bool):
            return False
        epoch, step = position.get("epoch"), position.get("step")
        if type(epoch) is not int or type(step) is not int or epoch < 0 or step < 0:
            return False
        identity = state.get("identity")
        parts = (identity, state.get("callbacks"), state.get("random"))
        if not isinstance(identity, dict) or not all(isinstance(part, dict) for part in parts):
            return False
        # The data may have fewer steps than the commit knows of, which is another matter than damage.
        known = [steps for steps in (self.params.get("steps"), identity.get("steps")) if steps]
        return all(type(steps) is int for steps in known) and step <= max(known, default=step)

    def _enter_stages(self, commit: commits.Commit, fellows: list) -> None:
        states = self._states(commit)
        for name, one in zip(names_of(self._fellows), self._fellows, strict=True):
            if one in fellows and isinstance(one, StagedUnfreezing) and name in states:
                with _damage_named(commit, name):
                    one.set_state(states[name])

    def _restore_callbacks(self, commit: commits.Commit) -> None:
        states = self._states(commit)
        for name, one in zip(names_of(self._fellows), self._fellows, strict=True):
            if one is not self and not isinstance(one, StagedUnfreezing) and name in states:
                with _damage_named(commit, name):
                    give_state(one, states[name])
        with _damage_named(commit, "the random state"):
            restore_random_state(unpack(commit.state["random"], commit.arrays))

    def _states(self, commit: commits.Commit) -> dict[str, Any]:
        return unpack(commit.state["callbacks"], commit.arrays)


@contextlib.contextmanager
def _damage_named(commit: commits.Commit, name: str) -> Iterator[None]:
    """Turn what is raised over a saved state that is none into an error that names the commit."""
    try:
        yield
    except KftError:
        raise
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise KftError(
            f"{commit.path} holds no state of {name} ({type(error).__name__}: {error}): remove it, and "
            "the one before it is used."
        ) from error


def read_interval(every: Any, name: str = "every") -> tuple[int | None, float | None]:
    """Return the steps, or the seconds, between two commits; neither means once per epoch.

    Args:
        every: what `RunCheckpoint` takes.
        name: what the argument is called where it was passed.

    Raises:
        InputError: `every` is not a valid interval.
    """
    if isinstance(every, str) and every == "epoch":
        return None, None
    if is_whole(every, 1):
        return int(every), None
    if isinstance(every, datetime.timedelta) and every.total_seconds() > 0:
        return None, every.total_seconds()
    found = _INTERVAL.fullmatch(every) if isinstance(every, str) else None
    if found is None or not float(found[1]):
        raise InputError(
            f"`{name}={shown(every)}`: pass 'epoch', a number of steps, or a time as '30s', '10min' "
            "or '2h'."
        )
    return None, float(found[1]) * _UNITS[found[2]]


def begin_at(model: keras.Model, epoch: int | None) -> None:
    """Make the `fit` that is about to begin start with this epoch, None for the one it was given.

    Keras (3.15.1) offers callbacks no public way; its own `BackupAndRestore` sets the same attribute.
    """
    model._initial_epoch = epoch
