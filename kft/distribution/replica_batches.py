"""Batches and losses for several replicas, which train as one device would."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from kft.backends import backend
from kft.data.batches import Batches
from kft.distribution.on_tensorflow import ReplicaLoss
from kft.errors import InputError
from kft.model.graph import batch_norms
from kft.stages.plan import BatchNorm, PlannedStage, kept_flags, plan
from kft.stages.stage import Stage


def replica_loss(loss: Any) -> Any:
    """Return the loss to compile with: on TensorFlow's replicas, each loss as a `ReplicaLoss`.

    Args:
        loss: A loss or losses, as for `keras.Model.compile`.
    """
    if backend().replica_count() == 1 or loss is None:
        return loss
    return keras.tree.map_structure(
        lambda one: None if one is None else ReplicaLoss(_as_object(one)), loss
    )


def check_shares(
    model: keras.Model, train: Any, validation: Any, stages: Sequence[Stage], batch_norm: BatchNorm
) -> None:
    """Check before any work that TensorFlow's replicas can share the batches.

    Args:
        model: The compiled model.
        train: The training data.
        validation: The validation data.
        stages: The stages.
        batch_norm: The mode of BatchNorm layers in the stages.

    Raises:
        InputError: If the size of the first batch is not a multiple of the number of replicas, which
            Keras requires; if the last one would need padding while BatchNorm layers train; or if the
            model was compiled without `replica_loss`.
    """
    if backend().replica_count() == 1:
        return
    if not all(isinstance(one, ReplicaLoss) for one in keras.tree.flatten(model.loss)):
        raise InputError(
            f"{model.name} was compiled for one device, and TensorFlow's replicas would weigh an "
            "uneven batch wrongly: use a recipe's fit with distribution='data_parallel', or "
            "KERAS_BACKEND=jax."
        )
    for data in (train, validation):
        if isinstance(data, Batches):
            _with_even_first(data)
    if (
        isinstance(train, Batches)
        and _needs_padding(train)
        and _trains_norms(model, plan(model, stages, batch_norm))
    ):
        size, count, replicas = train.batch_size, train.example_count, backend().replica_count()
        larger = next(
            n for n in itertools.count(size, replicas) if not 0 < count % min(n, count) < replicas
        )
        raise InputError(
            f"the last of {count} examples in batches of {size} has {count % size}, fewer than the "
            f"{replicas} replicas, and the padding that TensorFlow needs would enter the statistics of "
            f"BatchNorm layers that train: pass batch_size={larger}, or batch_norm='frozen'."
        )


def _needs_padding(batches: Batches) -> bool:
    """Return whether the last batch needs padding, so that each replica gets an example."""
    return 0 < batches.example_count % batches.batch_size < backend().replica_count()


def _trains_norms(model: keras.Model, planned: Sequence[PlannedStage]) -> bool:
    with kept_flags(model):
        for stage in planned:
            stage.enter(model)
            if any(layer.trainable for layer in batch_norms(model)):
                return True
    return False


def for_fit(data: Any) -> Any:
    """Return the data to pass to `keras.Model.fit` on the devices in scope.

    Args:
        data: `Batches`, or other data that `fit` accepts, which are returned unchanged.
    """
    if not isinstance(data, Batches):
        return data
    return (
        data.for_fit() if backend().replica_count() == 1 else _distributed(_with_even_first(data))
    )


def _with_even_first(batches: Batches) -> Batches:
    """Return batches whose first one divides by the replicas; validation batches are resized to do so.

    In training, a last batch smaller than the number of replicas is padded. Padding does not count in
    the gradient, but in the metrics, so validation avoids it.
    """
    replicas, size, count = backend().replica_count(), batches.batch_size, batches.example_count
    if batches.shuffle:
        if min(size, count) % replicas:
            smaller = min(size, count) // replicas * replicas
            raise InputError(
                f"`batch_size={size}` of {count} examples cannot be shared by {replicas} replicas, "
                f"since Keras (3.15.1) needs a first batch that divides by {replicas} on TensorFlow: "
                f"pass batch_size={smaller or replicas}, or use fewer devices."
            )
        return batches
    even = max(size // replicas, 1) * replicas
    even = min(even, count if count % replicas == 0 else count // 2 // replicas * replicas)
    if even:
        return batches.resized(even, merge_last=0 < count % even < replicas)
    raise InputError(
        f"{count} validation examples cannot be shared by {replicas} replicas: bring {2 * replicas} or "
        "more, or use fewer devices."
    )


def _distributed(batches: Batches) -> Any:
    """Return a distributed dataset that gives each replica its part of each batch."""
    import tensorflow as tf

    replicas = backend().replica_count()
    needs_padding = _needs_padding(batches)
    known = batches.for_fit()
    spec = known.element_spec if hasattr(known, "element_spec") else _signature(batches[0])
    if needs_padding and len(spec) == 2:
        spec = (*spec, tf.TensorSpec((None,), tf.float32))

    def parts() -> Iterator[Any]:
        for index in range(len(batches)):
            batch: tuple[Any, ...] = batches[index]
            rows = len(keras.tree.flatten(batch)[0])
            if needs_padding and len(batch) == 2:
                batch = (*batch, np.ones(rows, "float32"))
            chosen = np.arange(max(rows, replicas)) % rows
            if rows < replicas:
                batch = (*batch[:2], np.append(batch[2], np.full(replicas - rows, -1, "float32")))
            for part in np.array_split(np.arange(len(chosen)), replicas):
                yield (
                    *keras.tree.map_structure(lambda one, at=chosen[part]: one[at], batch[:2]),
                    *(weights[part] for weights in batch[2:]),
                )

    def dataset(context: Any) -> Any:
        return tf.data.Dataset.from_generator(parts, output_signature=spec).prefetch(2 * replicas)

    made = tf.distribute.get_strategy().distribute_datasets_from_function(dataset)
    # Its length is unknown, so Keras would take one more step, which fails halfway through.
    made.__class__ = type("Shared", (type(made),), {"cardinality": len(batches)})
    return made


def _signature(batch: tuple[Any, ...]) -> tuple[Any, ...]:
    import tensorflow as tf

    return keras.tree.map_structure(
        lambda one: tf.TensorSpec((None, *np.shape(one)[1:]), np.asarray(one).dtype), batch
    )


def _as_object(loss: Any) -> keras.losses.Loss:
    found = loss if isinstance(loss, keras.losses.Loss) else keras.losses.get(loss)
    if getattr(found, "reduction", None) not in ("sum_over_batch_size", "mean"):
        raise InputError(
            f"`loss={loss!r}`: several devices on TensorFlow need a keras.losses.Loss that is a mean "
            "over the examples. Pass one with reduction='sum_over_batch_size'."
        )
    return found
