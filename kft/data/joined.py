"""Two sets of examples as one."""

from __future__ import annotations

from typing import Any

from kft.data.examples import Examples
from kft.data.trees import concatenated
from kft.errors import InputError


def check_joins(first: Any, second: Any, instead: str) -> None:
    """Check that two sets of examples can be joined.

    Args:
        first: What `Recipe.read` returned.
        second: The same.
        instead: What to do where they cannot be, for the message.

    Raises:
        InputError: If they are streams, or of different kinds.
    """
    if not (isinstance(first, Examples) and isinstance(second, Examples)):
        raise InputError(f"a stream cannot be joined with other data: {instead}.")
    if first.kind != second.kind:
        raise InputError(
            f"training data are {first.kind} and validation data {second.kind}, which cannot be "
            f"joined: {instead}."
        )


def joined(first: Examples, second: Examples) -> Examples:
    """Return two sets of examples, which `check_joins` has let pass, as one."""
    return Examples(
        first.kind,
        concatenated([first.inputs, second.inputs]),
        concatenated([first.targets, second.targets]),
        first.classes,
        f"{first.source} and {second.source}",
        task=first.task,
    )
