"""Positions, that is pixels or tokens, in the tensors of a graph."""

from __future__ import annotations

import keras

from kft.model.graph import Call


def positions(call: Call) -> tuple[int | None, ...]:
    """Return the sizes of the position axes of the first output: (height, width), (tokens,) or ()."""
    channels_first = len(call.shape) > 3 and keras.config.image_data_format() == "channels_first"
    return call.shape[2:] if channels_first else call.shape[1:-1]


def after_positions(calls: list[Call]) -> set[Call]:
    """Return the calls from which no tensor with positions can be reached."""
    before: set[Call] = set()
    for call in reversed(calls):
        if positions(call) or call in before:
            before.add(call)
            before.update(call.parents)
    return set(calls) - before
