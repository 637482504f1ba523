"""Averaging of gradients over processes that share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kft.distribution import processes
from kft.errors import KftError

_BUCKET = 32 * 2**20  # bytes per transfer: enough to use the bandwidth, little memory


class SharedGradients:
    """Average gradients over the examples of all processes.

    Each call gets the variables that train in this very step, so no list of them can be outdated by
    unfreezing. Each process is weighted by its number of examples, since a loss is a mean over them: an
    uneven part, or an empty one, counts correctly.
    """

    def __init__(self) -> None:
        self._known: tuple[int, ...] = ()
        self._reached: tuple[bool, ...] = ()

    def __call__(
        self, gradients: Sequence[Any], variables: Sequence[keras.Variable], share: int
    ) -> list[Any]:
        """Return the gradients of the whole batch.

        Args:
            gradients: This process' own gradients, None for variables that do not affect the loss.
            variables: The variables of the gradients.
            share: How many examples this process' part of the batch has.
        """
        import torch

        own = tuple(gradient is not None for gradient in gradients)
        known = tuple(map(id, variables))
        if known != self._known:
            self._known, self._reached = known, processes.any_of(*own)
        stray = [v.path for v, o, r in zip(variables, own, self._reached, strict=True) if o > r]
        if stray:
            raise KftError(
                f"The loss depends on {stray[0]} in this step, but not in the stage's first: processes "
                "that share batches need a loss that depends on the same variables in every step."
            )
        chosen = [index for index, reached in enumerate(self._reached) if reached]
        weighted = [
            torch.zeros_like(variables[index].value)
            if gradients[index] is None or not share
            else gradients[index] * share
            for index in chosen
        ]
        total = torch.full((), float(share), device=weighted[0].device if weighted else None)
        averages: list[Any] = [None] * len(gradients)
        for bucket in _buckets(weighted):
            summed = processes.all_reduce([total, *(weighted[place] for place in bucket)])
            for place, one in zip(bucket, summed[1:], strict=True):
                averages[chosen[place]] = one / summed[0].to(one.dtype)
            processes.count_bytes(sum(_size(weighted[place]) for place in bucket))
        return averages


def _buckets(tensors: Sequence[Any]) -> list[list[int]]:
    """Return the indices of the tensors, in groups of about `_BUCKET` bytes."""
    found: list[list[int]] = []
    filled = _BUCKET
    for place, tensor in enumerate(tensors):
        if filled >= _BUCKET:
            found.append([])
            filled = 0
        found[-1].append(place)
        filled += _size(tensor)
    return found


def _size(tensor: Any) -> int:
    return tensor.numel() * max(tensor.element_size(), 4)
