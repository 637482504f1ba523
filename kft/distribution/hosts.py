"""Several processes and hosts with JAX: joining them, and communication between them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from kft.backends import backend
from kft.distribution import messages
from kft.errors import InputError

_HALF = 2**30


def initialize(
    address: str | None = None, processes: int | None = None, index: int | None = None
) -> None:
    """Make this process one of several that train together with JAX, on one host or several.

    Call it before anything else, in each process with the same address. `distribution="data_parallel"`
    then uses all devices of all processes. Each process reads all data and passes on the rows of its
    own devices; only the first one writes, and computes frozen features, to a directory that all of
    them can access.

    Args:
        address: `host:port` of the first process. By default JAX asks the cluster (Slurm, Cloud TPU,
            Open MPI, Kubernetes).
        processes: The number of processes; by default as above.
        index: The index of this one, from 0; by default as above.

    Raises:
        InputError: If the backend is not JAX, or only some of the arguments are passed.

    Example:

    ```python
    kft.distribution.initialize("10.0.0.1:8476", processes=2, index=0)  # index=1 on the other host
    recipe = ResNetRecipe("ResNet50", num_classes=5)
    recipe.fit("photos", run_dir="/shared/runs/photos")
    ```
    """
    here = backend()
    if not here.joins_by_initialize:
        raise InputError(
            f"`initialize` is for JAX, and the backend is {here.name}: {here.other_way_to_join}."
        )
    given = [one is not None for one in (address, processes, index)]
    if any(given) and not all(given):
        raise InputError(
            f"`initialize({address!r}, {processes!r}, {index!r})`: pass address, processes and index, "
            "or none of them where JAX can ask the cluster."
        )
    keras.distribution.initialize(address, processes, index)


def count() -> int:
    """Return how many processes JAX has joined; 1 for a single process, and on other backends."""
    if not backend().joins_by_initialize:
        return 1
    import jax

    return jax.process_count() if jax.distributed.is_initialized() else 1


def rank() -> int:
    """Return the index of this process among them, from 0."""
    if count() == 1:
        return 0
    import jax

    return jax.process_index()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Keep models that are built and run inside local to this process, where several have joined."""
    present = keras.distribution.distribution() if count() > 1 else None
    if present is None:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(present)


def any_of(flags: tuple[bool, ...]) -> tuple[bool, ...]:
    """Return, for each flag, whether any process has set it."""
    if count() == 1 or not flags:
        return flags
    from jax.experimental import multihost_utils

    found = multihost_utils.process_allgather(np.asarray(flags, np.int32))
    return tuple(bool(one) for one in np.asarray(found).max(axis=0))


def from_first(value: Any, most: int = messages.LARGEST) -> Any:
    """Return the value that process 0 passed.

    Args:
        value: A value that `messages.encode` accepts.
        most: The largest message in bytes.
    """
    if count() == 1:
        return value
    from jax.experimental import multihost_utils

    packed = messages.encode(value) if rank() == 0 else b""
    halves = np.asarray(divmod(len(packed), _HALF), np.int32)  # JAX has no int64 by default
    high, low = np.asarray(multihost_utils.broadcast_one_to_all(halves)).tolist()
    messages.check_size(high * _HALF + low, most)
    box = np.frombuffer(packed, np.uint8) if rank() == 0 else np.zeros(high * _HALF + low, np.uint8)
    return messages.decode(np.asarray(multihost_utils.broadcast_one_to_all(box)).tobytes())


def gather(value: Any, most: int = messages.LARGEST) -> list[Any]:
    """Return the values of all processes, in the order of their ranks; see `from_first`."""
    if count() == 1:
        return [value]
    from jax.experimental import multihost_utils

    packed = messages.encode(value)
    sizes = np.ravel(multihost_utils.process_allgather(np.asarray([len(packed)], np.int32)))
    for size in sizes.tolist():
        messages.check_size(size, most)
    padded = np.frombuffer(packed.ljust(int(sizes.max()), b"\0"), np.uint8)
    rows = np.reshape(multihost_utils.process_allgather(padded), (len(sizes), -1))
    return [
        messages.decode(row[:size].tobytes())
        for row, size in zip(rows, sizes.tolist(), strict=True)
    ]
