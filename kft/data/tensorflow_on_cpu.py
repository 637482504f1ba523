"""TensorFlow restricted to the CPU, where it reads data for another backend."""

from __future__ import annotations

import contextlib
import functools

from kft.backends import backend

__all__ = ["keep_off_accelerators"]


@functools.cache
def keep_off_accelerators() -> None:
    """Hide GPUs and TPUs from TensorFlow, unless it is the backend.

    With its first operation, such as decoding an image, TensorFlow would allocate nearly all memory of
    each GPU and leave none for the backend. Devices that it already uses are not hidden.
    """
    if backend().computes_in_tensorflow:
        return
    import tensorflow as tf

    for kind in ("GPU", "TPU"):
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.set_visible_devices([], kind)
