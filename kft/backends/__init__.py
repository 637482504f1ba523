"""What Keras' backends differ in: ask `backend()` by name what holds on the one that is in use.

A further backend is a class in a file of its own, and an entry in `BACKENDS`. Importing this
package brings no framework.
"""

from kft.backends.base import Backend
from kft.backends.on_jax import Jax
from kft.backends.on_tensorflow import TensorFlow
from kft.backends.on_torch import Torch

__all__ = ["BACKENDS", "Backend", "backend"]

BACKENDS: dict[str, Backend] = {one.name: one for one in (Jax(), TensorFlow(), Torch())}


def backend() -> Backend:
    """Return the backend that Keras runs on.

    Of a backend that kft does not know, only the name is right; the rest are cautious defaults.
    """
    import keras

    name = keras.backend.backend()
    return BACKENDS.get(name) or Backend(name)
