"""What solves the head of a model in a stage without steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from kft.cache.features import Features


@dataclasses.dataclass(frozen=True, eq=False)
class Solver:
    """Solves the heads of a model, for a stage with `solve=True`.

    Attributes:
        head_inputs: The tensors of the model that the heads are on.
        solve: Gives the heads of the model their weights. It gets the model and the kept features of
            its training examples, or None where none are kept; and returns a line to show.
        soften: Gives the heads, as the next stage begins, weights to train further from.
    """

    head_inputs: tuple[Any, ...]
    solve: Callable[[keras.Model, Features | None], str]
    soften: Callable[[keras.Model], None]
