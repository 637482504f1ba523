"""Building models without values, to learn the shapes of their weights without allocating memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import keras


def without_values(function: Callable[[], None]) -> None:
    """Call a function while Keras creates variables with shapes but without values.

    Args:
        function: The function. The models that it builds are of no use afterwards.

    Raises:
        Exception: Any error of the function.
    """

    def call() -> None:
        with keras.StatelessScope(initialize_variables=False):
            function()

    # Keras tracks uninitialised variables per thread: in a new thread they are never initialised.
    with ThreadPoolExecutor(1, thread_name_prefix="kft-outline") as thread:
        thread.submit(call).result()
