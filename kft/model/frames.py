"""Layers that apply image layers to clips by folding the frames into the batch and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kft.model.graph import Call

__all__ = ["FoldFrames", "UnfoldFrames", "frames_at"]


@keras.saving.register_keras_serializable("kft")
class FoldFrames(keras.layers.Layer):
    """A layer that folds frames into the batch: `(batch, frames, ...)` to `(batch * frames, ...)`.

    Args:
        frames: Frames per clip.
    """

    def __init__(self, frames: int, **settings: Any) -> None:
        # No cast to the policy's dtype: pixels from 0 to 255 must not be rounded.
        super().__init__(**{"autocast": False, **settings})
        self.frames = frames

    def call(self, inputs: Any) -> Any:
        """Return the frames in one batch, those of a clip in succession."""
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape and the dtype of the output, without running `call`."""
        return keras.KerasTensor((None, *inputs.shape[2:]), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {**super().get_config(), "frames": self.frames}


@keras.saving.register_keras_serializable("kft")
class UnfoldFrames(keras.layers.Layer):
    """A layer that unfolds frames again: `(batch * frames, ...)` to `(batch, frames, ...)`.

    Args:
        frames: Frames per clip.
    """

    def __init__(self, frames: int, **settings: Any) -> None:
        super().__init__(**{"autocast": False, **settings})
        self.frames = frames

    def call(self, inputs: Any) -> Any:
        """Return the frames of each clip along a separate axis."""
        return ops.reshape(inputs, (-1, self.frames, *inputs.shape[1:]))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Return the shape and the dtype of the output, without running `call`."""
        return keras.KerasTensor((None, self.frames, *inputs.shape[1:]), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what builds the layer again."""
        return {**super().get_config(), "frames": self.frames}


def frames_at(calls: Sequence[Call]) -> dict[Call, int]:
    """Return the rows per example in the outputs of each call: 1, or its number of frames.

    Args:
        calls: The calls of a graph in topological order.
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
