"""Steps that a resumed epoch reads but does not take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import keras


def skip_steps(trainer: keras.Model, results: Callable[[], Mapping[str, Any]]) -> None:
    """Make the training step of `trainer` drop its batch, until `take_steps`.

    The training functions of the backends differ in what they are given: an iterator, the model's
    state and an iterator, or a batch. On TensorFlow the first batch builds the metrics, which the
    other backends have done by then.

    Args:
        trainer: the model that is about to take its first step of the epoch.
        results: returns what each dropped step reports; called once the metrics are built.
    """
    at_once = trainer.steps_per_execution

    def drop(iterator: Any) -> Any:
        batch = next(iterator)
        with contextlib.suppress(StopIteration):
            for _ in range(at_once - 1):
                next(iterator)
        return batch

    backend = keras.backend.backend()
    logs: dict[str, Any] = {}
    if backend == "tensorflow":

        def drop_on_tensorflow(iterator: Any) -> dict[str, Any]:
            batch = drop(iterator)
            if not logs:
                if trainer.distribute_strategy.num_replicas_in_sync == 1:
                    _build_metrics(trainer, batch)
                logs.update(results())
            return logs

        trainer.train_function = drop_on_tensorflow
        return
    logs.update(results())
    if backend == "jax":

        def drop_on_jax(state: Any, iterator: Any) -> tuple[dict[str, Any], Any]:
            drop(iterator)
            return logs, state

        trainer.train_function = drop_on_jax
    else:
        trainer.train_function = lambda batch: logs


def take_steps(trainer: keras.Model) -> None:
    """End `skip_steps`."""
    trainer.make_train_function(force=True)


def _build_metrics(trainer: keras.Model, batch: Any) -> None:
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    scores = trainer(x, training=False)
    trainer.compute_loss(x, y, scores, weights, training=False)
    trainer.compute_metrics(x, y, scores, weights)
    trainer.reset_metrics()
