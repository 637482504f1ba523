"""Data parallel training on TensorFlow, by `tf.distribute`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kft.distribution.devices import first_devices
from kft.distribution.strategies import DataParallel


@contextlib.contextmanager
def entered_on_tensorflow(strategy: DataParallel) -> Iterator[int]:
    """Has variables that are made inside it copied to each device.

    Args:
        strategy: what `resolve` returned.

    Yields:
        The number of replicas.
    """
    made = _strategy(strategy)
    with made.scope():
        yield made.num_replicas_in_sync


def _strategy(strategy: DataParallel) -> Any:
    import tensorflow as tf

    if strategy.tpu is not None:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(strategy.tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in first_devices(devices, strategy.devices)]
    return (
        tf.distribute.OneDeviceStrategy(names[0])
        if len(names) == 1
        else tf.distribute.MirroredStrategy(names)
    )
