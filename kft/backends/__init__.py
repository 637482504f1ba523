"""The differences between Keras' backends, as attributes and methods of `backend()`.

Another backend takes a class in its own file, and an entry in `BACKENDS`. Importing this package
imports no framework.
"""

from kft.backends.base import Backend
from kft.backends.on_jax import Jax
from kft.backends.on_tensorflow import TensorFlow
from kft.backends.on_torch import Torch

__all__ = ["BACKENDS", "Backend", "backend"]

BACKENDS: dict[str, Backend] = {one.name: one for one in (Jax(), TensorFlow(), Torch())}


def backend() -> Backend:
    """Return the backend that Keras runs on.

    A backend that kft does not know has its name and cautious defaults.
    """
    import keras

    name = keras.backend.backend()
    return BACKENDS.get(name) or Backend(name)
