"""The choice of the input to augment among several."""

from collections.abc import Callable
from typing import Any

from kft.errors import InputError


def only_input(inputs: dict[str, Any], is_one: Callable[[Any], bool], what: str) -> str:
    """Return the name of the only input of the kind that an augmentation takes.

    Args:
        inputs: The inputs by name.
        is_one: Returns whether an input is of the kind.
        what: The name of the kind in messages.

    Raises:
        InputError: None of the inputs is of the kind, or several are.
    """
    found = [name for name, one in inputs.items() if is_one(one)]
    if len(found) != 1:
        raise InputError(
            f"augmentation needs one input of {what}, but {', '.join(map(repr, inputs))} has "
            f"{len(found)} of them: pass a function (x, y, seed) -> (x, y) that changes those you "
            "mean"
        )
    return found[0]
