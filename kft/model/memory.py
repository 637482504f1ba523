"""How much memory this process has needed at most so far, on the host and on the device."""

from __future__ import annotations

import sys
from typing import Any

import keras


def host_peak() -> int | None:
    """Most bytes of main memory that the process has held so far; None where nobody counts them."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def device_peak() -> int | None:
    """Most bytes that the backend has held on the first accelerator so far; None without one."""
    return {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}[keras.backend.backend()]()


def _jax() -> int | None:
    import jax

    device = jax.local_devices()[0]
    counted: Any = None if device.platform == "cpu" else device.memory_stats()
    return int(counted["peak_bytes_in_use"]) if counted else None


def _tensorflow() -> int | None:
    import tensorflow as tf

    if not tf.config.list_logical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _torch() -> int | None:
    import torch

    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None
