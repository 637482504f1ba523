"""Several devices of one process, by the strategy that the backend has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from kft.errors import InputError

_KINDS = ("data_parallel", "none")


@contextlib.contextmanager
def scope(kind: str = "data_parallel") -> Iterator[int]:
    """Builds, compiles and fits inside it use all devices of the process, each with a copy.

    Each device takes an equal part of each batch; gradients are put together before the step, so
    that the same batch gives the same training whatever the number of devices. On JAX it is
    `keras.distribution.DataParallel`, whose batches must divide by the number of devices, the last
    one too; on TensorFlow `tf.distribute.MirroredStrategy`. Accelerators are used if there are any,
    and else the CPU's virtual devices.

    Args:
        kind: `"data_parallel"`, or `"none"` for one device.

    Yields:
        The number of devices.

    Raises:
        InputError: `kind` is unknown, or the backend is PyTorch, for which Keras has no strategy.

    Example:

    ```python
    with kft.distribution.scope("data_parallel"):
        model = build()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=8, callbacks=[kft.callbacks.StagedUnfreezing(stages)])
    ```
    """
    if kind not in _KINDS:
        raise InputError(f"`kind={kind!r}`: pass one of {', '.join(map(repr, _KINDS))}.")
    backend = keras.backend.backend()
    if kind == "none":
        yield 1
    elif backend == "jax":
        before = keras.distribution.distribution()
        devices = keras.distribution.list_devices()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        try:
            yield len(devices)
        finally:
            keras.distribution.set_distribution(before)
    elif backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        with tf.distribute.MirroredStrategy([device.name for device in devices]).scope():
            yield len(devices)
    else:
        raise InputError(
            f"`kind={kind!r}`: Keras has no strategy for {backend}, and replicas without one would "
            "drift apart. Use KERAS_BACKEND=jax or tensorflow, or kind='none'."
        )


def device_count() -> int:
    """How many devices a model that is built here would be copied to."""
    if keras.backend.backend() == "jax":
        present = keras.distribution.distribution()
        return 1 if present is None else int(present.device_mesh.devices.size)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.get_strategy().num_replicas_in_sync
    return 1
