"""Division of a backbone into groups of layers by resolution, or by depth if that is constant."""

from __future__ import annotations

import itertools
import math

import keras

from kft.model import graph
from kft.model.frames import FoldFrames
from kft.model.positions import after_positions, positions


def divide(calls: list[graph.Call], body: list[graph.Call]) -> list[list[keras.Layer]]:
    """Return the layers of the backbone in groups, nearest the input first.

    Args:
        calls: all calls of the model's graph.
        body: those that belong to the backbone and have weights.
    """
    levels = _resolution_levels(calls, body)
    if len(set(levels.values())) < 2:
        levels = _depth_levels(calls, body)
    else:
        levels = _at_narrow_places(calls, levels)
    groups: dict[float, dict[keras.Layer, None]] = {}
    seen: set[keras.Layer] = set()
    for call in body:
        if call.operation not in seen:
            groups.setdefault(levels[call], {})[call.operation] = None
            seen.add(call.operation)
    return [list(groups[level]) for level in sorted(groups)]


def _resolution_levels(calls: list[graph.Call], body: list[graph.Call]) -> dict[graph.Call, float]:
    """Return how many times each call's resolution was halved.

    A squeeze-and-excite branch shrinks to one pixel and expands again, so each call gets the finest
    level that is reachable from it inside the backbone.
    """
    inputs = [positions(call) for call in _first_calls(calls)]
    sizes = [known for shape in inputs if (known := _known(shape))]
    if not sizes:
        return dict.fromkeys(body, 0.0)
    finest = max(sizes, key=math.prod)
    inside = graph.with_ancestors(body)
    reachable = {call: _halvings(call, finest) if call in inside else math.inf for call in calls}
    for call in reversed(calls):
        for parent in call.parents:
            reachable[parent] = min(reachable[parent], reachable[call])
    coarsest = max((reachable[call] for call in body if reachable[call] < math.inf), default=0.0)
    return {call: min(reachable[call], coarsest) for call in body}


def _first_calls(calls: list[graph.Call]) -> list[graph.Call]:
    """Return the calls with the resolution of the inputs; for clips, those that fold the frames."""
    folded = [call for call in calls if isinstance(call.operation, FoldFrames)]
    return folded or [call for call in calls if not call.parents]


def _known(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Return the shape, or an empty one if one of its sizes varies."""
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else ()


def _halvings(call: graph.Call, finest: tuple[int, ...]) -> float:
    shape = _known(positions(call))
    if not shape or 0 in shape:
        return math.inf
    return float(round(math.log2(math.prod(finest) / math.prod(shape)) / len(finest)))


def _at_narrow_places(
    calls: list[graph.Call], levels: dict[graph.Call, float]
) -> dict[graph.Call, float]:
    """Move each border before an expansion, to a tensor that all paths pass through.

    An inverted residual block expands its input before it lowers the resolution: the border belongs
    before the expansion, where the features to cache are small too.
    """
    place = {call: index for index, call in enumerate(calls)}
    sizes = _bottlenecks(calls)
    moved = dict(levels)
    for lower, upper in itertools.pairwise(sorted(set(levels.values()))):
        begins = min(place[call] for call, level in moved.items() if level == lower)
        ends = min(place[call] for call, level in moved.items() if level >= upper)
        near = [index for index in sizes if begins <= index < ends]
        if not near:
            continue
        border, matrices = near[-1], 0
        for index, following in zip(reversed(near[:-1]), reversed(near), strict=False):
            between = calls[index + 1 : following + 1]
            matrices += sum(graph.has_matrix(call.operation) for call in between)
            if matrices > 1:
                break
            if 2.5 * sizes[index] <= sizes[near[-1]]:
                border = index
                break
        for call, level in moved.items():
            if level == lower and place[call] > border:
                moved[call] = upper
    return moved


def _bottlenecks(calls: list[graph.Call]) -> dict[int, int]:
    """Return the index and size of each call that all paths from earlier calls pass through."""
    last_use = {call: index for index, call in enumerate(calls)}
    for index, call in enumerate(calls):
        last_use.update(dict.fromkeys(call.parents, index))
    found: dict[int, int] = {}
    furthest = 0
    for index, call in enumerate(calls[:-1]):
        shape = _known(call.shape[1:])
        if shape and furthest <= index and last_use[call] > index:
            found[index] = math.prod(shape)
        furthest = max(furthest, last_use[call])
    return found


def _depth_levels(calls: list[graph.Call], body: list[graph.Call]) -> dict[graph.Call, float]:
    """Return the number of weight matrices on the longest path from the input to each call.

    Lookup tables and norms add nothing to the depth, so they join the layer they follow. Layers after
    pooling (BERT's pooler) belong to the last block.
    """
    inside, pooled = set(body), after_positions(calls)
    depth: dict[graph.Call, float] = {}
    for call in calls:
        depth[call] = max((depth[parent] for parent in call.parents), default=0.0)
        if call in inside and graph.has_matrix(call.operation):
            depth[call] += 1.0
    first_call = {call.operation: call for call in reversed(body)}
    first = {call: depth[first_call[call.operation]] for call in body}
    deepest = max((first[call] for call in body if call not in pooled), default=math.inf)
    return {call: min(first[call], deepest) for call in body}
