"""Checks of what the batches of a stream are made of: names of inputs, arrays rather than dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["check_names", "check_single"]


def check_names(inputs: Any, expected: Sequence[str], where: str) -> None:
    """Check that inputs which are a dict have the names of the model's inputs.

    Args:
        inputs: The inputs of a batch, or what the stream says of them.
        expected: The names of the model's inputs; none where they are not known.
        where: What to call the stream in a message.

    Raises:
        InputError: If one of the model's inputs is missing.
    """
    if isinstance(inputs, Mapping) and not set(expected) <= set(inputs):
        found, needed = (", ".join(map(repr, names)) for names in (inputs, expected))
        raise InputError(
            f"{where} yields a dict of inputs with {found}, but the model takes {needed}: name them so"
        )


def check_single(kind: TargetKind, targets: Any, where: str) -> None:
    """Check that the targets of a task with bounds are an array.

    Args:
        kind: What the targets are.
        targets: Those of a batch, or what the stream says of them.
        where: What to call the batch in a message.

    Raises:
        InputError: If they are a dict.
    """
    if isinstance(targets, Mapping) and type(kind).bounds is not TargetKind.bounds:
        names = ", ".join(map(repr, targets))
        raise InputError(
            f"{where} has a dict of targets with {names}, but an array is expected: yield it alone, "
            "without a name"
        )
