"""Two sets of examples as one."""

from __future__ import annotations

from typing import Any

from kft.data.examples import Examples
from kft.data.trees import concatenated
from kft.errors import InputError


def joined(first: Any, second: Any, instead: str) -> Examples:
    """Return two sets of examples as one.

    Args:
        first: What `Recipe.read` returned.
        second: The same, of the same kind.
        instead: What to do where they cannot be joined, for the message.

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
    return Examples(
        first.kind,
        concatenated([first.inputs, second.inputs]),
        concatenated([first.targets, second.targets]),
        first.classes,
        f"{first.source} and {second.source}",
        task=first.task,
    )
