"""Data parallel training on TensorFlow, with `tf.distribute`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from kft.backends import backend
from kft.distribution.first_devices import first_devices
from kft.distribution.strategies import DataParallel
from kft.errors import InputError
from kft.model.graph import batch_norms


@contextlib.contextmanager
def entered(strategy: DataParallel, model: keras.Model | None = None) -> Iterator[int]:
    """Replicate variables that are created inside on each device.

    Args:
        strategy: The result of `resolve`.
        model: Ignored, since all replicas are equal.

    Yields:
        The number of replicas.
    """
    made = _strategy(strategy)
    with made.scope(), _finite_on_all():
        yield made.num_replicas_in_sync


def refuse_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    """Refuse an optimizer that changes gradients on each replica before they are summed.

    Raises:
        InputError: If the optimizer clips each variable, or accumulates gradients.
    """
    for name in ("clipnorm", "clipvalue", "gradient_accumulation_steps"):
        if backend().replica_count() > 1 and getattr(optimizer, name, None):
            raise InputError(
                f"`{name}={getattr(optimizer, name)}`: with several devices on TensorFlow Keras "
                "(3.15.1) does that on each of them before the gradients are summed, which "
                "changes the result. Use global_clipnorm, KERAS_BACKEND=jax, or distribution='none'."
            )


def synchronise_norms(model: keras.Model) -> None:
    """Make trainable BatchNorm layers compute their statistics over the whole batch, not over a part."""
    if backend().replica_count() > 1:
        for layer in batch_norms(model):
            layer.synchronized = True


@contextlib.contextmanager
def _finite_on_all() -> Iterator[None]:
    """Make loss scaling skip a step if the gradients of any replica overflow.

    Keras (3.15.1) checks only the first replica, before the gradients are summed: an overflow on
    another one would reach the weights of all.
    """
    import tensorflow as tf

    kind = keras.optimizers.LossScaleOptimizer
    on_one = kind.check_finite

    def check_finite(self: Any, grads: list[Any]) -> Any:
        finite = on_one(self, grads)
        replica = tf.distribute.get_replica_context()
        agreeing = replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(finite, "float32"))
        return agreeing >= replica.num_replicas_in_sync

    kind.check_finite = check_finite
    try:
        yield
    finally:
        kind.check_finite = on_one


class ReplicaLoss(keras.losses.Loss):
    """A loss whose gradient is that of the mean over the batch, however the batch is divided.

    Keras (3.15.1) averages the replicas' means, in which examples of a smaller part count more. The
    value remains the mean over the part, as the metric `loss` expects.

    Args:
        inner: The loss on one device, a mean over examples.
    """

    def __init__(self, inner: keras.losses.Loss) -> None:
        super().__init__(name=inner.name)
        self.inner = inner

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the mean over this replica's examples; a negative weight marks padding."""
        import tensorflow as tf

        replica = tf.distribute.get_replica_context()
        if replica is None:
            return self.inner(y_true, y_pred, sample_weight)
        count = present = tf.cast(tf.shape(keras.tree.flatten(y_pred)[0])[0], "float32")
        if sample_weight is not None:
            sample_weight = tf.convert_to_tensor(sample_weight)
            present = tf.reduce_sum(tf.cast(sample_weight >= 0, "float32"))
            sample_weight = tf.maximum(sample_weight, 0)
        value = self.inner(y_true, y_pred, sample_weight)
        total = replica.all_reduce(tf.distribute.ReduceOp.SUM, present)
        share = tf.cast(count * replica.num_replicas_in_sync / total, value.dtype)
        return value + (share - 1) * (value - tf.stop_gradient(value))


def _strategy(strategy: DataParallel) -> Any:
    import tensorflow as tf

    if strategy.tpu is not None:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(strategy.tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in first_devices(devices, strategy.devices)]
    if len(names) == 1:
        return tf.distribute.OneDeviceStrategy(names[0])
    # The default collective operations require a new process for another number of devices, and
    # confuse those of synchronised BatchNorm layers (TensorFlow 2.21).
    gpus = "GPU" in names[0]
    across = tf.distribute.NcclAllReduce() if gpus else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(names, cross_device_ops=across)
