"""Callbacks that see several fits of several models as a single fit of one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kft.callbacks import RunCheckpoint, StagedUnfreezing
from kft.data.batches import Batches
from kft.distribution.replica_batches import for_fit
from kft.distribution.replicas import shared_data, synchronized_callbacks
from kft.stages.optimizer import unscaled
from kft.stages.regrouping import reorder
from kft.training.cached_stages import CachedStage
from kft.training.interpolation import Interpolation
from kft.training.solver import Solver
from kft.training.stage_parts import StagePart
from kft.training.stage_progress import StageProgress


class SingleRun(keras.callbacks.CallbackList):
    """A callback list that presents several fits of several models as one fit of one model.

    Args:
        model: the whole model.
        unfreezing: the stages.
        stages: the decisions of `decide`.
        callbacks: the other callbacks.
        epochs: the epochs of all stages together.
        steps: batches per epoch, None if unknown.
        verbose: 0 prints nothing, 1 updates one line, 2 prints a line per epoch.
    """

    def __init__(
        self,
        model: keras.Model,
        unfreezing: StagedUnfreezing,
        stages: Sequence[CachedStage],
        callbacks: Sequence[keras.callbacks.Callback],
        *,
        epochs: int,
        steps: int | None,
        verbose: int,
    ) -> None:
        self._progress = [StageProgress(unfreezing, live=verbose == 1)] if verbose else []
        super().__init__(
            [*synchronized_callbacks([unfreezing, *callbacks], model), *self._progress],
            add_history=True,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )
        self._unfreezing = unfreezing
        self._stages = stages
        self.checkpoint = next((one for one in callbacks if isinstance(one, RunCheckpoint)), None)
        self._lines = [one for one in callbacks if isinstance(one, Interpolation)]
        self._whole = model
        self._trainer = model
        self._batches: Any = None
        self._last_logs: dict[str, Any] | None = None
        self._next_epoch = 0
        self.stopped = False

    def begin(self) -> int:
        """Begin the run and return its first epoch."""
        super().on_train_begin()
        position = None if self.checkpoint is None else self.checkpoint.position
        return 0 if position is None else position[0]

    def end(self) -> None:
        """End the run once its last fit has ended."""
        super().on_train_end(self._last_logs)

    def close(self) -> None:
        """Clear the progress line, and end the threads in which Keras calls callbacks after batches.

        Keras (3.15.1) ends them in `on_train_end`, which a failed fit does not reach, and offers
        no public way to do so.
        """
        if self._executor is not None:
            self._executor.shutdown()
        for progress in self._progress:
            progress.close()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Do nothing: the run began before the first of its fits."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keep the logs: the run continues after this fit."""
        self._last_logs = logs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Select the epoch's order of examples."""
        if isinstance(self._batches, Batches):
            self._batches.epoch = epoch
        super().on_epoch_begin(epoch, logs)
        unscaled(self._whole.optimizer).finalizes = False  # a stage brings a new optimizer

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop the fit if a callback asks for it."""
        super().on_train_batch_end(batch, logs)
        if self._whole.stop_training:
            self.stopped = self._trainer.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End this fit with its stage, if this stage or the next trains on cached features."""
        super().on_epoch_end(epoch, logs)
        self._next_epoch = epoch + 1
        self.stopped = self._whole.stop_training
        now = self._unfreezing.stage_index or 0
        cuts = [stage.cut for stage in self._stages[now : now + 2]]
        ended = self._unfreezing.stage_ended and any(cut is not None for cut in cuts)
        if self.stopped or ended:
            self._trainer.stop_training = True

    def solve(
        self,
        solver: Solver,
        part: StagePart,
        epoch: int,
        steps: int | None,
    ) -> int:
        """Solve the head in an epoch without steps, and return the next epoch.

        With several processes, each reads whole batches here and takes its part of them.
        """
        trainer, batches = part.trainer, part.batches
        self._switch_to(trainer, batches, epoch)
        self.on_epoch_begin(epoch)
        message = solver.solve(self._whole, part.features)
        for progress in self._progress:
            progress.say(message)
        # A function made before `evaluate` builds the metrics does not place them on devices.
        trainer.test_function = None
        logs = trainer.evaluate(for_fit(batches), steps=steps, verbose=0, return_dict=True)
        self.on_epoch_end(epoch, logs | self.held_out_logs(part))
        return self._next_epoch

    def held_out_logs(self, part: StagePart) -> dict[str, Any]:
        """Return the logs of a model on its validation data, empty without any.

        Args:
            part: The model and its validation data.
        """
        if part.validation is None:
            return {}
        logs = part.trainer.evaluate(for_fit(part.validation), verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in logs.items()}

    def settle(self, part: StagePart) -> None:
        """Replace the final weights by those of an `Interpolation` callback.

        Args:
            part: The part that the last stage trained.
        """
        for line in self._lines:
            line.settle(lambda: self.held_out_logs(part))

    def _switch_to(self, trainer: keras.Model, batches: Any, epoch: int) -> None:
        """Record which model and batches run from this epoch on."""
        self._trainer, self._batches, self._next_epoch = trainer, batches, epoch
        self._whole.stop_training = False  # still True if the whole model trained the last stage
        if self.checkpoint is not None:
            self.checkpoint.follow(trainer, batches if isinstance(batches, Batches) else None)

    def train(
        self,
        part: StagePart,
        epoch: int,
        steps: int | None,
    ) -> int:
        """Train a stage, or as many as train on the same; returns the next epoch."""
        batches, validation = shared_data(part.batches, part.validation)
        whole, trainer = self._whole, part.trainer
        self._switch_to(trainer, batches, epoch)
        order = trainer.trainable_variables
        if [id(v) for v in order] != [id(v) for v in whole.trainable_variables]:
            reorder(whole, order)
        unscaled(whole.optimizer).finalizes = False
        # Functions made before `fit` builds the metrics do not place them on devices.
        trainer.train_function = trainer.test_function = None
        synced = trainer is not whole and hasattr(whole, "jax_state_sync")
        if trainer is not whole:
            trainer.optimizer = whole.optimizer
            trainer.history = whole.history
        if synced:  # JAX: a callback that reads the whole model must get the suffix's new values
            whole.jax_state_sync = trainer.jax_state_sync
        try:
            trainer.fit(
                for_fit(batches),
                validation_data=for_fit(validation),
                initial_epoch=epoch,
                epochs=self.params["epochs"],
                steps_per_epoch=steps,
                shuffle=False,  # `Batches` shuffles by itself
                callbacks=self,
                verbose=0,
            )
        finally:
            if synced:
                del whole.jax_state_sync
        return self._next_epoch
