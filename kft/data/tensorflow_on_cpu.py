"""TensorFlow beside another backend: it reads data, on the CPU."""

from __future__ import annotations

import contextlib
import functools

from kft.backends import backend

__all__ = ["keep_off_accelerators"]


@functools.cache
def keep_off_accelerators() -> None:
    """Hides GPUs and TPUs from TensorFlow, unless it is the backend.

    It would take nearly all memory of each GPU with its first operation, the decoding of an image say,
    and leave none to the backend. Where its devices are in use already, that is left as it is.
    """
    if backend().computes_in_tensorflow:
        return
    import tensorflow as tf

    for kind in ("GPU", "TPU"):
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.set_visible_devices([], kind)
