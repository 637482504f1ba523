"""Steps that a resumed epoch reads but does not take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras


class SkippedSteps:
    """The steps of an epoch before a commit, whose batches are read and dropped.

    Meanwhile no `ModelCheckpoint` writes, since it would overwrite its files with a later state.
    """

    def __init__(self) -> None:
        self._trainer: keras.Model | None = None
        self._saving: list[tuple[keras.callbacks.ModelCheckpoint, Any]] = []

    @property
    def active(self) -> bool:
        """Whether steps are skipped now."""
        return self._trainer is not None

    def begin(
        self,
        trainer: keras.Model,
        callbacks: Sequence[keras.callbacks.Callback],
        results: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Make the training step drop its batch.

        Args:
            trainer: the model that is about to take its first step of the epoch.
            callbacks: the callbacks of the fit.
            results: returns what each dropped step reports; called once the metrics are built.
        """
        self._trainer = trainer
        for one in callbacks:
            if isinstance(one, keras.callbacks.ModelCheckpoint):
                self._saving.append((one, one.save_freq))
                one.save_freq = "epoch"
        trainer.train_function = _dropping(trainer, results)

    def end(self) -> None:
        """Take steps again."""
        if self._trainer is not None:
            self._trainer.make_train_function(force=True)
        self.release()

    def release(self) -> None:
        """Let the callbacks write again; also after a fit that ended with an error."""
        for one, save_freq in self._saving:
            one.save_freq = save_freq
        self._trainer, self._saving = None, []


def _dropping(trainer: keras.Model, results: Callable[[], Mapping[str, Any]]) -> Callable[..., Any]:
    """Return a training function that takes no step.

    Those of the backends differ in what they are given: an iterator, the model's state and an
    iterator, or a batch. On TensorFlow the first batch builds the metrics, which the other backends
    have done by then.
    """
    at_once = trainer.steps_per_execution

    def drop(iterator: Any) -> Any:
        batch = next(iterator)
        with contextlib.suppress(StopIteration):
            for _ in range(at_once - 1):
                next(iterator)
        return batch

    logs: dict[str, Any] = {}

    def drop_on_tensorflow(iterator: Any) -> dict[str, Any]:
        batch = drop(iterator)
        if not logs:
            if trainer.distribute_strategy.num_replicas_in_sync == 1:
                _build_metrics(trainer, batch)
            logs.update(results())
        return logs

    def drop_on_jax(state: Any, iterator: Any) -> tuple[dict[str, Any], Any]:
        drop(iterator)
        return logs, state

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return drop_on_tensorflow
    logs.update(results())
    return drop_on_jax if backend == "jax" else lambda batch: logs


def _build_metrics(trainer: keras.Model, batch: Any) -> None:
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    scores = trainer(x, training=False)
    trainer.compute_loss(x, y, scores, weights, training=False)
    trainer.compute_metrics(x, y, scores, weights)
    trainer.reset_metrics()
