"""Several fits of several models, which callbacks see as a single fit of one model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kft.callbacks import RunCheckpoint, StagedUnfreezing
from kft.data.batches import Batches
from kft.distribution.replica_batches import for_fit
from kft.distribution.replicas import accompanied, fed
from kft.stages.optimizer import unscaled
from kft.stages.regrouping import reorder
from kft.training.cached_stages import CachedStage
from kft.training.interpolation import Interpolation
from kft.training.solver import Solver
from kft.training.stage_parts import StagePart
from kft.training.stage_progress import StageProgress


class SingleRun(keras.callbacks.CallbackList):
    """Callbacks that see several fits of several models as a single fit of one model.

    Args:
        model: the whole model.
        unfreezing: the stages.
        stages: what `decide` chose for them.
        callbacks: the other callbacks.
        epochs: the epochs of all stages together.
        steps: batches an epoch, None where they are not known.
        verbose: 0 says nothing, 1 draws a line anew, 2 prints a line an epoch.
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
            [*accompanied([unfreezing, *callbacks], model), *self._progress],
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
        """Begin the run; returns the epoch that it begins with."""
        super().on_train_begin()
        position = None if self.checkpoint is None else self.checkpoint.position
        return 0 if position is None else position[0]

    def end(self) -> None:
        """End the run once its last fit has ended."""
        super().on_train_end(self._last_logs)

    def close(self) -> None:
        """Leave the terminal, and end the threads in which Keras calls callbacks after batches.

        Keras (3.15.1) ends them in `on_train_end`, which a fit that fails does not reach, and offers
        no public way to do it.
        """
        if self._executor is not None:
            self._executor.shutdown()
        for progress in self._progress:
            progress.close()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Nothing: the run began before the first of its fits."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Nothing: the run goes on after this fit."""
        self._last_logs = logs

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the order of the examples to the epoch's."""
        if isinstance(self._batches, Batches):
            self._batches.epoch = epoch
        super().on_epoch_begin(epoch, logs)
        unscaled(self._whole.optimizer).finalizes = False  # a stage brings a new optimizer

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Pass on a callback's wish to stop."""
        super().on_train_batch_end(batch, logs)
        if self._whole.stop_training:
            self.stopped = self._trainer.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End this fit with its stage, if the next stage trains on something else."""
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
        """Solve the head in an epoch without steps; returns the next epoch.

        Several processes each read all of a batch here, and take their parts of it.
        """
        trainer, batches = part.trainer, part.batches
        self._turn_to(trainer, batches, epoch)
        self.on_epoch_begin(epoch)
        said = solver.solve(self._whole, part.features)
        for progress in self._progress:
            progress.say(said)
        # Made before `evaluate` knows the metrics, it would not say on which devices those lie.
        trainer.test_function = None
        logs = trainer.evaluate(for_fit(batches), steps=steps, verbose=0, return_dict=True)
        self.on_epoch_end(epoch, logs | self.held_out_logs(part))
        return self._next_epoch

    def held_out_logs(self, part: StagePart) -> dict[str, Any]:
        """Return the logs of a model on the validation data; none without any.

        Args:
            part: The model, and what it is validated on.
        """
        if part.validation is None:
            return {}
        logs = part.trainer.evaluate(for_fit(part.validation), verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in logs.items()}

    def settle(self, part: StagePart) -> None:
        """Leave the model with better weights than the last stage ended with, where a callback finds some.

        Args:
            part: What the last stage trained.
        """
        for line in self._lines:
            line.settle(lambda: self.held_out_logs(part))

    def _turn_to(self, trainer: keras.Model, batches: Any, epoch: int) -> None:
        """Note what the epochs from this one on run, before they begin."""
        self._trainer, self._batches, self._next_epoch = trainer, batches, epoch
        self._whole.stop_training = (
            False  # the whole model may have trained, to the end of its stage
        )
        if self.checkpoint is not None:
            self.checkpoint.follow(trainer, batches if isinstance(batches, Batches) else None)

    def train(
        self,
        part: StagePart,
        epoch: int,
        steps: int | None,
    ) -> int:
        """Train a stage, or as many as train on the same; returns the next epoch."""
        batches, validation = fed(part.batches, part.validation)
        whole, trainer = self._whole, part.trainer
        self._turn_to(trainer, batches, epoch)
        order = trainer.trainable_variables
        if [id(v) for v in order] != [id(v) for v in whole.trainable_variables]:
            reorder(whole, order)
        unscaled(whole.optimizer).finalizes = False
        # Made before `fit` knows the metrics, they would not say on which devices those lie.
        trainer.train_function = trainer.test_function = None
        synced = trainer is not whole and hasattr(whole, "jax_state_sync")
        if trainer is not whole:
            trainer.optimizer = whole.optimizer
            trainer.history = whole.history
        if synced:  # JAX: whoever reads the whole model between steps gets the suffix' new values
            whole.jax_state_sync = trainer.jax_state_sync
        try:
            trainer.fit(
                for_fit(batches),
                validation_data=for_fit(validation),
                initial_epoch=epoch,
                epochs=self.params["epochs"],
                steps_per_epoch=steps,
                shuffle=False,  # `Batches` has an order of its own
                callbacks=self,
                verbose=0,
            )
        finally:
            if synced:
                del whole.jax_state_sync
        return self._next_epoch
