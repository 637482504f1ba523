"""Paths of data as messages show them, and files that are written for a person."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kft.arguments import shown as argument
from kft.errors import InputError

__all__ = ["checked_root", "shown", "written"]

_LONGEST = 400  # letters of a path in a message


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as it can be printed on one line, whatever bytes it is made of."""
    name = str(Path(path)) if isinstance(path, os.PathLike) else path
    if not name.isprintable():
        # Python keeps a byte 0x82 that is not UTF-8 as the character U+DC82.
        name = repr(name)[1:-1].replace("\\udc", "\\x")
    return name if len(name) <= _LONGEST else f"{name[:100]}...{name[-200:]}"


@contextlib.contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what the system says of a write, such as of a full disk, into a sentence.

    Args:
        path: The file or folder that the block writes.

    Raises:
        InputError: If a write fails.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"`{shown(path)}` cannot be written ({error.strerror or error}): make room there, or pass "
            "another path"
        ) from error


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
