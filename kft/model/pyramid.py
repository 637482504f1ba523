"""The feature pyramid of a backbone: its feature maps at each resolution, found in its graph."""

from __future__ import annotations

import math
from typing import Any

import keras

from kft.model import graph

__all__ = ["pyramid"]

_MARGINS = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)  # not feature maps themselves


def pyramid(inputs: Any, output: Any) -> dict[str, Any]:
    """Return the deepest feature map at each resolution of a backbone.

    A map at half the height and width of the images has stride 2, one at a quarter stride 4. Sizes
    that padding makes odd count as the nearest power of 2. For each stride it is the last map that all
    paths to the output pass through, so not one inside a residual branch; if there is none (NASNet,
    whose cells take the outputs of two earlier cells), simply the last one.

    Args:
        inputs: The model's input, images `(batch, height, width, channels)` of a fixed size.
        output: The backbone's output in the same functional graph, outside of nested models.

    Returns:
        The maps by the names `stride_2`, `stride_4` and so on, as far as the backbone has them, finest
        first. The last one is the output.
    """
    size = tuple(inputs.shape[1:3])
    calls = graph.outer_calls(keras.Model(inputs, output))
    end, levels = calls[-1], {call: _level(size, call) for call in calls}
    deepest = levels[end] or 0
    maps = {}
    for level in range(1, deepest):
        candidates = [call for call in calls if levels[call] == level]
        if candidates:
            maps[f"stride_{2**level}"] = _last(candidates, end).outputs[0]
    return {**maps, f"stride_{2**deepest}": output}


def _level(size: tuple[int, int], call: graph.Call) -> int | None:
    """Return how many times the size of the images was halved; None if the output is not a map."""
    if len(call.shape) != 4 or None in call.shape[1:] or isinstance(call.operation, _MARGINS):
        return None
    levels = {
        round(math.log2(of / one)) for of, one in zip(size, call.shape[1:3], strict=True) if one
    }
    return max(levels, default=None)


def _last(candidates: list[graph.Call], end: graph.Call) -> graph.Call:
    """Return the last of some calls that all paths to the end pass through, or simply the last."""
    passed = (call for call in reversed(candidates) if not _bypassed(call, end))
    return next(passed, candidates[-1])


def _bypassed(call: graph.Call, end: graph.Call) -> bool:
    """Return whether a path leads from an input to the end around a call."""
    seen, stack = {call, end}, [end]
    while stack:
        parents = stack.pop().parents
        if not parents:
            return True
        for parent in parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return False
