"""Paths of data as messages show them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kft.arguments import shown as argument
from kft.errors import InputError

__all__ = ["checked_root", "shown"]

_LONGEST = 400  # letters of a path in a message


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as it can be printed on one line, whatever bytes it is made of."""
    name = str(Path(path)) if isinstance(path, os.PathLike) else path
    if not name.isprintable():
        # Python keeps a byte 0x82 that is not UTF-8 as the character U+DC82.
        name = repr(name)[1:-1].replace("\\udc", "\\x")
    return name if len(name) <= _LONGEST else f"{name[:100]}...{name[-200:]}"


def checked_root(folder: Any) -> Path:
    """Return the folder that paths of images in a table are relative to.

    Args:
        folder: What was passed as `image_root`.

    Raises:
        InputError: If it is no folder.
    """
    if not isinstance(folder, str | os.PathLike) or not os.path.isdir(folder):
        raise InputError(
            f"image_root={argument(folder)}, but the folder that paths of images in a table are "
            "relative to is expected"
        )
    return Path(folder)
