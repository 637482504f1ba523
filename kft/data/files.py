"""Paths as messages show them, and errors of writing and of `image_root`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kft.arguments import shown as argument
from kft.arguments.paths import similar_path
from kft.errors import InputError

__all__ = ["checked_root", "missing", "shown", "written"]

_LONGEST = 400  # characters of a path in a message


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path in a form that prints on one line, whatever bytes it contains."""
    name = str(Path(path)) if isinstance(path, os.PathLike) else path
    if not name.isprintable():
        # Python represents an undecodable byte 0x82 by the character U+DC82.
        name = repr(name)[1:-1].replace("\\udc", "\\x")
    return name if len(name) <= _LONGEST else f"{name[:100]}...{name[-200:]}"


def missing(path: str | os.PathLike[str]) -> str:
    """Return that there is no such file or folder, with a similar path that exists, for messages."""
    return f"{shown(path)}: no such file or folder{shown(similar_path(path))}"


@contextlib.contextmanager
def written(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of writing, such as that of a full disk, into an `InputError`.

    Args:
        path: The file or folder that the block writes.

    Raises:
        InputError: A write fails.
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
    """Return the folder that image paths in a table are relative to.

    Args:
        folder: The argument `image_root`.

    Raises:
        InputError: It is not a folder.
    """
    if not isinstance(folder, str | os.PathLike) or not os.path.isdir(folder):
        raise InputError(
            f"image_root={argument(folder)}, but the folder that paths of images in a table are "
            "relative to is expected"
        )
    return Path(folder)
