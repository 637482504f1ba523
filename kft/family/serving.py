"""The inputs of a recipe as an exporter needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServingInputs:
    """How raw inputs are converted to a model's inputs, for the exporter.

    A request may contain anything, and a bad row must not affect others: `decode` never raises.

    Attributes:
        decode: Converts a string tensor `[n, *shape]`, encoded images or texts, to the model's inputs for
            the usable rows, in their order, and a string tensor with a status for each of the n rows:
            empty, or why the row was left out. It uses ops of TensorFlow's graph.
        resources: Layers with tables that `decode` uses.
        parts: The names of the texts in each row of a request, which `kft.data.parts.join_parts` joins to
            the string that `decode` takes; empty for a single text.
        shape: The shape of a row of strings: empty for a single string, such as an image, `(frames,)` for
            a clip. Defaults to empty.
    """

    decode: Callable[[Any], tuple[Any, Any]]
    resources: tuple[Any, ...] = ()
    parts: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
