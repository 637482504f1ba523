"""The state of a fit, collected for a commit and restored from it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kft.callbacks.others import names_of, restore_state, state_of
from kft.callbacks.staged_unfreezing import StagedUnfreezing
from kft.errors import KftError, NonFiniteLossError
from kft.model.flags import Flags, flags_of, set_flags
from kft.runs.commits import Commit
from kft.runs.packing import pack, unpack
from kft.runs.randomness import random_state, restore_random_state
from kft.runs.snapshots import restore, snapshot
from kft.stages.optimizer import unscaled
from kft.stages.regrouping import strategy_scope


@dataclasses.dataclass(frozen=True, eq=False)
class FitState:
    """Everything that a fit changes: flags, weights, optimizer, metrics, callbacks, random numbers.

    Args:
        model: The whole model.
        trainer: The model on which `fit` was called: the whole one, or a part of it.
        callbacks: The callbacks of the fit, in their order.
        own: The callback that commits, whose own state is not saved.
    """

    model: keras.Model
    trainer: keras.Model
    callbacks: Sequence[keras.callbacks.Callback]
    own: keras.callbacks.Callback

    def sync(self) -> None:
        """Copy the values of the last step to the variables, which JAX requires."""
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()

    def collect(
        self, epoch: int, step: int, directory: Path
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the state as JSON values and arrays.

        Args:
            epoch: The current epoch.
            step: Its next step.
            directory: The directory of the commits.

        Raises:
            NonFiniteLossError: If a weight or a metric is NaN or infinite.
        """
        self.sync()
        arrays = snapshot(self.model, self.trainer)
        _check_finite(arrays, epoch, step, directory)
        states = {
            name: state
            for name, one in self._named()
            if one is not self.own and (state := state_of(one)) is not None
        }
        values = {
            "flags": flags_of(self.model).to_text(),
            "callbacks": pack(states, arrays, "callbacks"),
            "random": pack(random_state(), arrays, "random"),
        }
        return values, arrays

    def enter_stages(self, commit: Commit, *, before_own: bool) -> None:
        """Restore the stages of the callbacks before the one that commits, or those of the rest.

        Raises:
            KftError: If the commit has no valid state of such a callback.
        """
        place = self.callbacks.index(self.own)
        chosen = self.callbacks[:place] if before_own else self.callbacks[place:]
        states = unpack(commit.state["callbacks"], commit.arrays)
        for name, one in self._named():
            if one in chosen and isinstance(one, StagedUnfreezing) and name in states:
                with _errors_naming_commit(commit, name):
                    one.set_state(states[name])

    def restore(self, commit: Commit, rate_factor: float) -> None:
        """Restore everything except stages and metrics.

        Args:
            commit: The commit.
            rate_factor: The factor by which learning rates are multiplied.

        Raises:
            KftError: If the commit is of another model or optimizer, or lacks a state.
        """
        flags = Flags.from_text(commit.state["flags"])
        if flags != (now := flags_of(self.model)) and flags.fit(now):
            set_flags(self.model, flags)
            self.trainer.make_train_function(force=True)
            self.trainer.make_test_function(force=True)
        self._build_optimizer(commit)
        restore(self.model, self.trainer, commit.arrays, ("model", "optimizer"))
        if rate_factor != 1:
            unscaled(self.model.optimizer).scale_rates(rate_factor)
        self._restore_callbacks(commit)

    def restore_metrics(self, commit: Commit) -> None:
        """Restore the metrics, so that a progress bar continues from their values."""
        restore(self.model, self.trainer, commit.arrays, ("metrics",))

    def _build_optimizer(self, commit: Commit) -> None:
        """Create the variables of the optimizer, which TensorFlow otherwise does in the first step."""
        optimizer = self.model.optimizer
        saved = sum(name.startswith("optimizer/") for name in commit.arrays)
        if not optimizer.built and saved > len(optimizer.variables):
            with strategy_scope(self.model):
                optimizer.build(self.trainer.trainable_variables)

    def _restore_callbacks(self, commit: Commit) -> None:
        states = unpack(commit.state["callbacks"], commit.arrays)
        for name, one in self._named():
            if one is not self.own and not isinstance(one, StagedUnfreezing) and name in states:
                with _errors_naming_commit(commit, name):
                    restore_state(one, states[name])
        with _errors_naming_commit(commit, "the random state"):
            restore_random_state(unpack(commit.state["random"], commit.arrays))

    def _named(self) -> Iterator[tuple[str, keras.callbacks.Callback]]:
        return zip(names_of(self.callbacks), self.callbacks, strict=True)


def _check_finite(arrays: Mapping[str, np.ndarray], epoch: int, step: int, directory: Path) -> None:
    for name, array in arrays.items():
        kind = name.partition("/")[0]
        if kind == "optimizer" or np.isfinite(np.asarray(array, "float32")).all():
            continue
        raise NonFiniteLossError(
            f"{name.split('/', 2)[2]} is NaN or infinite before step {step + 1} of epoch "
            f"{epoch + 1}. The newest commit in {directory} is the last good state: "
            "lower the learning rate or pass an optimizer with clipnorm=1.0, and look for NaN in "
            "the data."
        )


@contextlib.contextmanager
def _errors_naming_commit(commit: Commit, name: str) -> Iterator[None]:
    """Convert an exception about an invalid saved state to an error that names the commit."""
    try:
        yield
    except KftError:
        raise
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise KftError(
            f"{commit.path} holds no state of {name} ({type(error).__name__}: {error}): remove it, and "
            "the one before it is used."
        ) from error


def begin_at(model: keras.Model, epoch: int | None) -> None:
    """Make the next `fit` start with this epoch; None for the one that it was passed.

    Keras (3.15.1) offers callbacks no public way; its own `BackupAndRestore` sets the same attribute.
    """
    model._initial_epoch = epoch
