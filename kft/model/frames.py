"""Clips in a graph of image layers: their frames lie in the batch, and come back behind the layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kft.model.graph import Call

__all__ = ["FoldFrames", "UnfoldFrames", "frames_at"]


@keras.saving.register_keras_serializable("kft")
class FoldFrames(keras.layers.Layer):
    """Put the frames of each clip into the batch: `(batch, frames, ...)` to `(batch * frames, ...)`.

    Args:
        frames: Frames of a clip.
    """

    def __init__(self, frames: int, **settings: Any) -> None:
        # Whatever the policy computes in: pixels of 0 to 255 must not be rounded on their way.
        super().__init__(**{"autocast": False, **settings})
        self.frames = frames

    def call(self, inputs: Any) -> Any:
        """Return the frames one after another, those of a clip together."""
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape and the dtype of the output, without running `call`."""
        return keras.KerasTensor((None, *inputs.shape[2:]), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {**super().get_config(), "frames": self.frames}


@keras.saving.register_keras_serializable("kft")
class UnfoldFrames(keras.layers.Layer):
    """Take the frames out of the batch again: `(batch * frames, ...)` to `(batch, frames, ...)`.

    Args:
        frames: Frames of a clip.
    """

    def __init__(self, frames: int, **settings: Any) -> None:
        super().__init__(**{"autocast": False, **settings})
        self.frames = frames

    def call(self, inputs: Any) -> Any:
        """Return the frames of each clip along an axis of their own."""
        return ops.reshape(inputs, (-1, self.frames, *inputs.shape[1:]))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape and the dtype of the output, without running `call`."""
        return keras.KerasTensor((None, self.frames, *inputs.shape[1:]), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {**super().get_config(), "frames": self.frames}


def frames_at(calls: Sequence[Call]) -> dict[Call, int]:
    """Return how many rows of a batch an example has in the outputs of each call: 1, or its frames.

    Args:
        calls: The calls of a graph, each after those that it depends on.
    """
    found: dict[Call, int] = {}
    for call in calls:
        if isinstance(call.operation, FoldFrames):
            found[call] = call.operation.frames
        elif isinstance(call.operation, UnfoldFrames):
            found[call] = 1
        else:
            found[call] = max((found[parent] for parent in call.parents), default=1)
    return found
