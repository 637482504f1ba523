"""Data and model parallel training on JAX, with `keras.distribution`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kft.distribution.first_devices import first_devices
from kft.distribution.strategies import ModelParallel, Strategy
from kft.errors import InputError


@contextlib.contextmanager
def entered(strategy: Strategy, model: keras.Model | None = None) -> Iterator[int]:
    """Distribute variables that are created inside, and training steps, over the devices.

    Args:
        strategy: The result of `resolve`.
        model: The model that is about to be copied, whose weights a `ModelParallel` shards.

    Yields:
        The number of devices of all processes.

    Raises:
        InputError: If there are fewer devices, or a `ModelParallel` does not fit the model.
    """
    names = keras.distribution.list_devices()
    if isinstance(strategy, ModelParallel):
        made = _model_parallel(strategy, names, model)
    else:
        made = keras.distribution.DataParallel(
            devices=first_devices(names, strategy.devices), auto_shard_dataset=False
        )
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(made)
    try:
        with uneven_batches():
            yield int(made.device_mesh.devices.size)
    finally:
        keras.distribution.set_distribution(before)


def _model_parallel(strategy: ModelParallel, names: list[str], model: keras.Model | None) -> Any:
    parts = len(first_devices(names, strategy.devices))
    if len(names) % parts:
        raise InputError(
            f"`devices={parts}` hold one copy of the model, and {len(names)} devices cannot hold "
            "several: pass a number that divides them."
        )
    mesh = keras.distribution.DeviceMesh((len(names) // parts, parts), ["batch", "model"], names)
    layouts = keras.distribution.LayoutMap(mesh)
    if model is not None:
        for path, axes in strategy.layout_of(model).axes.items():
            layouts[path] = axes
    elif strategy.layout:
        for pattern, axes in strategy.layout.items():
            layouts[f".*{pattern}.*"] = tuple(axes)
    else:
        raise InputError("`ModelParallel()` knows no model here: pass `layout`, or use recipe.fit.")
    return keras.distribution.ModelParallel(
        layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
    )


@contextlib.contextmanager
def uneven_batches() -> Iterator[None]:
    """Allow batches whose size is not a multiple of the number of devices.

    Keras (3.15.1) gives every batch of an epoch the layout of the first. Here a batch that does not fit
    is replicated on each device, which changes where sums are computed but not their values. Every
    process gets the whole batch, and passes on its part.
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
