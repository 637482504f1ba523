"""Clipping of gradients by their norm over all groups of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

__all__ = ["clipped_together"]


def clipped_together(gradients: Sequence[Any], limit: float) -> list[Any]:
    """Return gradients scaled down to a norm of at most `limit`, that of all of them together."""
    squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients]
    norm = ops.sqrt(ops.sum(ops.stack(squares)))
    factor = limit / ops.maximum(norm, limit)
    return [gradient * ops.cast(factor, gradient.dtype) for gradient in gradients]
