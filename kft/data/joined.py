"""Joining of two sets of examples."""

from __future__ import annotations

from typing import Any

from kft.data.examples import Examples
from kft.data.trees import concatenated
from kft.errors import InputError


def check_joins(first: Any, second: Any, instead: str) -> None:
    """Check that two sets of examples can be joined.

    Args:
        first: Data that `Recipe.read` returned.
        second: The other data.
        instead: The way out, for the message.

    Raises:
        InputError: They are streams, or of different kinds.
    """
    if not (isinstance(first, Examples) and isinstance(second, Examples)):
        raise InputError(f"a stream cannot be joined with other data: {instead}.")
    if first.kind != second.kind:
        raise InputError(
            f"training data are {first.kind} and validation data {second.kind}, which cannot be "
            f"joined: {instead}."
        )


def joined(first: Examples, second: Examples) -> Examples:
    """Return two sets of examples as one, after `check_joins` has accepted them."""
    return Examples(
        first.kind,
        concatenated([first.inputs, second.inputs]),
        concatenated([first.targets, second.targets]),
        first.classes,
        f"{first.source} and {second.source}",
        task=first.task,
    )
