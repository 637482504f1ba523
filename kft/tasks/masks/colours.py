"""The colours in which classes are drawn, and masks as pictures."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np

from kft.errors import InputError
from kft.tasks.masks.files import Ignored
from kft.tasks.masks.stored import IGNORED

__all__ = ["check_colours", "colours_of", "drawn"]

_GOLDEN = 0.61803398875  # turns by it never come close to each other
_NOTHING = (232, 232, 232)  # where pixels are ignored


def check_colours(colors: Mapping[str, tuple[int, int, int]], ignored: Ignored, what: str) -> None:
    """Refuse colours of which one stands for two things.

    Args:
        colors: The colour of each class.
        ignored: What is ignored, a colour or a number.
        what: What to call the colours in a message.

    Raises:
        InputError: If two classes have one colour, or what is ignored has that of a class.
    """
    owners: dict[tuple[int, int, int], str] = {}
    for name, color in colors.items():
        if color in owners:
            raise InputError(
                f"{what} has one colour twice, {color} for {owners[color]!r} and {name!r}: give each "
                "class its own."
            )
        owners[color] = name
    if ignored in owners:
        raise InputError(
            f"`ignore={ignored}` is the colour of {owners[ignored]!r} in {what}, which would then occur "
            "nowhere: ignore another colour, or leave the class out."
        )


def colours_of(
    classes: Sequence[str], colors: Mapping[str, tuple[int, int, int]] | None
) -> np.ndarray:
    """Return a colour for each class, uint8 `[k, 3]`.

    Args:
        classes: The classes.
        colors: Their own colours; None for some that are easily told apart.
    """
    if colors is not None:
        return np.array([colors[name] for name in classes], np.uint8)
    made = [
        colorsys.hls_to_rgb((0.58 + place * _GOLDEN) % 1, (0.42, 0.6, 0.3)[place % 3], 0.75)
        for place in range(len(classes))
    ]
    return np.round(np.array(made) * 255).astype(np.uint8)


def drawn(mask: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return a mask as a picture.

    Args:
        mask: Class numbers, uint8 `[height, width]`.
        colours: What `colours_of` returned.

    Returns:
        uint8 `[height, width, 3]`; ignored pixels are light grey.
    """
    table = np.full((IGNORED + 1, 3), _NOTHING, np.uint8)
    table[: len(colours)] = colours
    return table[mask]
