"""Paths that do not exist, and similar ones that do."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from kft.arguments import closest

_MOST_NAMES = 10_000  # compared with a missing one


def similar_path(path: str | os.PathLike[str]) -> str:
    """Return a suggestion of a similar path that exists, for messages; empty if there is none.

    Args:
        path: A path that does not exist, or is of the wrong kind.
    """
    place = Path(path)
    with contextlib.suppress(OSError, ValueError):
        names = sorted(os.listdir(place.parent))[:_MOST_NAMES]
        found = closest(place.name, (name for name in names if name != place.name))
        if found is not None:
            return f" (did you mean {place.with_name(found)}?)"
    return ""
