"""Colours of classes, and masks drawn in them."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np

from kft.errors import InputError
from kft.tasks.masks.files import Ignored
from kft.tasks.masks.stored import IGNORED

__all__ = ["check_colours", "colours_of", "drawn"]

_GOLDEN = 0.61803398875  # hues that are multiples of it stay far apart
_NOTHING = (232, 232, 232)  # the colour of ignored pixels


def check_colours(colors: Mapping[str, tuple[int, int, int]], ignored: Ignored, what: str) -> None:
    """Check that no colour has two meanings.

    Args:
        colors: The colour of each class.
        ignored: The colour or class number of ignored pixels.
        what: The name of the colours in messages.

    Raises:
        InputError: If two classes share a colour, or ignored pixels have the colour of a class.
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
        colors: Their colours; None for generated ones that are easy to distinguish.
    """
    if colors is not None:
        return np.array([colors[name] for name in classes], np.uint8)
    made = [
        colorsys.hls_to_rgb((0.58 + place * _GOLDEN) % 1, (0.42, 0.6, 0.3)[place % 3], 0.75)
        for place in range(len(classes))
    ]
    return np.round(np.array(made) * 255).astype(np.uint8)


def drawn(mask: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return a mask as an image.

    Args:
        mask: Class numbers, uint8 `[height, width]`.
        colours: What `colours_of` returned.

    Returns:
        uint8 `[height, width, 3]`; ignored pixels are light grey.
    """
    table = np.full((IGNORED + 1, 3), _NOTHING, np.uint8)
    table[: len(colours)] = colours
    return table[mask]
