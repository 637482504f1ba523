"""The files in a folder, or that match a pattern such as `"photos/**/*.jpg"`."""

from __future__ import annotations

import glob
import os
from collections.abc import Set
from pathlib import Path
from typing import Any

from kft.data.files import shown
from kft.data.folder_walk import nothing_below, walked
from kft.data.raw_texts import refuse_inputs
from kft.errors import InputError

__all__ = ["files_named", "matched"]


def matched(pattern: str) -> list[Path]:
    """Return the files and folders that a pattern matches, sorted.

    Raises:
        InputError: The pattern matches nothing.
    """
    found = sorted(glob.glob(pattern, recursive=True))
    if "**" in pattern:  # it matches folders as well as their contents
        found = [path for path in found if not os.path.isdir(path)]
    if not found:
        raise InputError(f"{shown(pattern)}: the pattern matches no file")
    return [Path(path) for path in found]


def files_named(
    source: Any, kind: str, endings: Set[str], frames: Set[str] = frozenset()
) -> list[str] | None:
    """Return the files in a folder or that match a pattern; None for anything else.

    Args:
        source: The argument, of any type.
        kind: The kind of the files, `"image"` or `"clip"`.
        endings: Their suffixes in lower case.
        frames: Suffixes of frames, which make their folder a single input.

    Raises:
        InputError: There are no files, or some cannot be used.
    """
    if not isinstance(source, str | os.PathLike):
        return None
    if os.path.isdir(source):
        named = [Path(source)]
    elif _is_pattern(source):
        named = matched(str(source))
    else:
        return None
    found: list[tuple[Path, str]] = []
    for path in named:
        if not os.path.isdir(path):
            found.append((path, ""))
            continue
        below = list(walked(path, path.resolve(), endings, frames))
        if not below:
            raise nothing_below(path, kind, endings)
        found += below
    reasons = {index: reason for index, (_, reason) in enumerate(found) if reason}
    refuse_inputs(reasons, {index: shown(found[index][0]) for index in reasons})
    return [str(path) for path, _ in found]


def _is_pattern(source: str | os.PathLike) -> bool:
    """Return whether a path has wildcards and does not exist literally."""
    text = os.fspath(source)
    is_text = isinstance(text, str) and "\0" not in text
    return is_text and glob.has_magic(text) and not os.path.lexists(text)
