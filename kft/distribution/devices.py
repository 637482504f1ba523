"""Training on several devices of one process, with the backend's own strategy."""

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
    """Use all devices of the process, each with a copy, for models built, compiled and fitted inside.

    Each device gets an equal part of each batch; gradients are summed before the step, so the same
    batch gives the same training on any number of devices. Accelerators are used if there are any,
    otherwise the CPU's virtual devices. On TensorFlow the size of every batch, including the last,
    must be a multiple of the number of devices; `recipe.fit` weights an uneven one correctly.

    Args:
        distribution: `"data_parallel"`, `"none"` for one device, or another argument of `resolve`.

    Yields:
        The number of devices.

    Raises:
        InputError: If `distribution` is unknown, or not possible on this backend.

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
    """Enter the scope of a strategy, as `scope` does.

    Args:
        strategy: The strategy, None for one device.
        model: The model that is about to be copied; only `ModelParallel` uses it.
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
    """Return the number of devices over which a model built here would be distributed."""
    return backend().device_count()
