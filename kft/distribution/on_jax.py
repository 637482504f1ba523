"""Data and model parallel training on JAX, by `keras.distribution`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kft.distribution.devices import first_devices
from kft.distribution.strategies import ModelParallel, Strategy
from kft.errors import InputError


@contextlib.contextmanager
def entered_on_jax(strategy: Strategy) -> Iterator[int]:
    """Has variables that are made inside it, and the steps, spread over the devices.

    Args:
        strategy: what `resolve` returned.

    Yields:
        The number of devices, those of all processes together.
    """
    if isinstance(strategy, ModelParallel):
        raise InputError("`ModelParallel` needs a recipe")
    names = first_devices(keras.distribution.list_devices(), strategy.devices)
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    )
    try:
        with uneven_batches():
            yield len(names)
    finally:
        keras.distribution.set_distribution(before)


@contextlib.contextmanager
def uneven_batches() -> Iterator[None]:
    """Lets batches through whose examples do not divide by the number of devices.

    Keras (3.15.1) gives every batch of an epoch the layout of the first. A batch that does not fit it
    is given whole to each device, which changes where the sums are done and not what they are. In
    every process it is the whole batch that comes in, and each process passes on its part.
    """
    from keras.src.backend.jax import distribution_lib

    before = distribution_lib.distribute_data_input
    distribution_lib.distribute_data_input = _distributed
    try:
        yield
    finally:
        distribution_lib.distribute_data_input = before


def _distributed(batch: Any, layout: Any, batch_dim_name: str) -> Any:
    import jax

    sharding = getattr(layout, "backend_layout", layout)
    rows = np.shape(batch)[0]
    if rows % sharding.mesh.shape[batch_dim_name]:
        sharding = jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec())
    batch = np.asarray(batch)
    return jax.make_array_from_callback(batch.shape, sharding, lambda index: batch[index])
