"""What an exporter needs to know of a recipe's inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServingInputs:
    """The way from raw inputs to a model's inputs, for the exporter.

    A request may hold anything, and one bad row must spoil no other: `decode` raises for none.

    Attributes:
        decode: A string tensor `[n, *shape]`, encoded images or texts, to the model's inputs of the m rows
            that can be used, in their order, and a status for each of the n rows, a string tensor:
            empty, or why the row is missing. In TensorFlow's graph ops.
        resources: Layers with tables that `decode` uses.
        parts: The names of the texts that a request has for each row, of which
            `kft.data.parts.join_parts` makes the string that `decode` takes; empty for a single one.
        shape: How many strings a row has: none for one, such as an image, `(frames,)` for those of a
            clip. Defaults to none.
    """

    decode: Callable[[Any], tuple[Any, Any]]
    resources: tuple[Any, ...] = ()
    parts: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
