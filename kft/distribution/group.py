"""The processes that train one model together: how many there are, and which one this is."""

from __future__ import annotations

import keras


def process_count() -> int:
    """How many processes train together; 1 for a process on its own."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.process_count()
    if keras.backend.backend() == "torch":
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_world_size()
    return 1


def process_index() -> int:
    """Which of them this is, from 0; the first one writes."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.process_index()
    if process_count() > 1:
        from torch import distributed

        return distributed.get_rank()
    return 0


def writes() -> bool:
    """Whether this process is the one that writes files."""
    return process_index() == 0


def wait_for_all(what: str) -> None:
    """Returns once every process has come to the same place.

    Args:
        what: name of the place, the same in all processes.
    """
    if process_count() == 1:
        return
    if keras.backend.backend() == "jax":
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(what)
    else:
        from torch import distributed

        distributed.barrier()
