"""Models without values: what weights they would have, before any of them takes memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import keras


def without_values(function: Callable[[], None]) -> None:
    """Call a function in which the variables that Keras makes have shapes and no values.

    Args:
        function: What to do. The models that it builds are of no use afterwards.

    Raises:
        Exception: What the function raises.
    """

    def call() -> None:
        with keras.StatelessScope(initialize_variables=False):
            function()

    # Keras remembers by thread which variables still want their values: here they never get any.
    with ThreadPoolExecutor(1, thread_name_prefix="kft-outline") as thread:
        thread.submit(call).result()
