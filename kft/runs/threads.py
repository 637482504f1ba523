"""How many threads share the work of one operation: the order of its sums depends on them."""

from __future__ import annotations

import os

import keras


def cpu_threads() -> int | None:
    """Return how many threads the backend uses for an operation on the CPU.

    Returns:
        The number; None where it computes on an accelerator.
    """
    return {"torch": _on_torch, "tensorflow": _on_tensorflow, "jax": _on_jax}[
        keras.backend.backend()
    ]()


def _on_torch() -> int | None:
    import torch

    return None if torch.cuda.is_available() else torch.get_num_threads()


def _on_tensorflow() -> int | None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return None
    asked = tf.config.threading.get_intra_op_parallelism_threads()  # 0 if nobody did
    return asked or _told("TF_NUM_INTRAOP_THREADS") or _cores()


def _on_jax() -> int | None:
    import jax

    if jax.default_backend() != "cpu":
        return None
    if "--xla_cpu_multi_thread_eigen=false" in os.environ.get("XLA_FLAGS", "").lower():
        return 1
    return _told("NPROC") or _cores()


def _told(variable: str) -> int:
    """Return the number in an environment variable, 0 if there is none."""
    value = os.environ.get(variable, "")
    return int(value) if value.isdecimal() else 0


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
