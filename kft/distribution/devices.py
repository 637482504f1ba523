"""Several devices of one process, by the strategy that the backend has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from kft.backends import backend
from kft.distribution.strategies import Strategy, resolve
from kft.errors import InputError


@contextlib.contextmanager
def scope(distribution: Any = "data_parallel") -> Iterator[int]:
    """Builds, compiles and fits inside it use all devices of the process, each with a copy.

    Each device takes an equal part of each batch; gradients are put together before the step, so
    that the same batch gives the same training whatever the number of devices. Accelerators are used
    if there are any, and else the CPU's virtual devices. On TensorFlow batches must divide by the
    number of devices, the last one too: `recipe.fit` weighs an uneven one as it should be.

    Args:
        distribution: `"data_parallel"`, `"none"` for one device, or what else `resolve` takes.

    Yields:
        The number of devices.

    Raises:
        InputError: `distribution` is unknown, or cannot work on this backend.

    Example:

    ```python
    with kft.distribution.scope("data_parallel"):
        model = build()
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=8, callbacks=[kft.callbacks.StagedUnfreezing(stages)])
    ```
    """
    with entered(resolve(distribution)) as count:
        yield count


@contextlib.contextmanager
def entered(strategy: Strategy | None, model: Any = None) -> Iterator[int]:
    """Does what `scope` does, for what `resolve` returned.

    Args:
        strategy: The strategy, None for one device.
        model: The model that is about to be copied; only `ModelParallel` looks at it.
    """
    if strategy is None:
        yield 1
        return
    module = backend().strategy_module
    if module is None:
        raise InputError(
            f"`distribution={strategy}`: Keras has no strategy for {backend().name}, and replicas "
            "without one would drift apart. Use KERAS_BACKEND=jax or tensorflow, or "
            "distribution='none'."
        )
    with import_module(module).entered(strategy, model) as count:
        yield count


def device_count() -> int:
    """How many devices a model that is built here would be spread over."""
    return backend().device_count()
