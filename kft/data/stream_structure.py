"""Checks of the structure of a stream's batches: names of inputs, and arrays instead of dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["check_names", "check_single"]


def check_names(inputs: Any, expected: Sequence[str], where: str) -> None:
    """Check that a dict of inputs has the names of the model's inputs.

    Args:
        inputs: The inputs of a batch, or their spec.
        expected: The names of the model's inputs; empty if unknown.
        where: The name of the stream in messages.

    Raises:
        InputError: One of the model's inputs is missing.
    """
    if isinstance(inputs, Mapping) and not set(expected) <= set(inputs):
        found, needed = (", ".join(map(repr, names)) for names in (inputs, expected))
        raise InputError(
            f"{where} yields a dict of inputs with {found}, but the model takes {needed}: name them so"
        )


def check_single(kind: TargetKind, targets: Any, where: str) -> None:
    """Check that the targets of a task with bounds are an array.

    Args:
        kind: The kind of the targets.
        targets: The targets of a batch, or their spec.
        where: The name of the batch in messages.

    Raises:
        InputError: They are a dict.
    """
    if isinstance(targets, Mapping) and type(kind).bounds is not TargetKind.bounds:
        names = ", ".join(map(repr, targets))
        raise InputError(
            f"{where} has a dict of targets with {names}, but an array is expected: yield it alone, "
            "without a name"
        )
