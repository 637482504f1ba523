"""The devices that a strategy uses."""

from __future__ import annotations

from typing import Any

from kft.errors import InputError


def first_devices(names: list[Any], wanted: int | None) -> list[Any]:
    """Return the first devices, all of them if `wanted` is None.

    Raises:
        InputError: If there are fewer.
    """
    if wanted is not None and wanted > len(names):
        raise InputError(
            f"`devices={wanted}`, but there are {len(names)}: {', '.join(map(str, names))}. On a CPU "
            "virtual devices must be asked for before the backend starts, see docs/distribution.md."
        )
    return names[:wanted]
