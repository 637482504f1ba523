"""The solver of a model's head, for a stage without gradient steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from kft.cache.features import Features


@dataclasses.dataclass(frozen=True, eq=False)
class Solver:
    """The functions that solve a model's heads, for a stage with `solve=True`.

    Attributes:
        head_inputs: The tensors of the model that the heads take.
        solve: Sets the weights of the heads. It takes the model and the cached features of its
            training examples, None if there are none, and returns a line to print.
        soften: Sets less confident weights as the next stage begins, from which training can continue.
    """

    head_inputs: tuple[Any, ...]
    solve: Callable[[keras.Model, Features | None], str]
    soften: Callable[[keras.Model], None]
