"""Paths of data as messages show them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["shown"]

_LONGEST = 400  # letters of a path in a message


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as it can be printed on one line, whatever bytes it is made of."""
    name = str(Path(path)) if isinstance(path, os.PathLike) else path
    if not name.isprintable():
        # Python keeps a byte 0x82 that is not UTF-8 as the character U+DC82.
        name = repr(name)[1:-1].replace("\\udc", "\\x")
    return name if len(name) <= _LONGEST else f"{name[:100]}...{name[-200:]}"
