"""Clips in a folder of data: video files, and folders of frames."""

from __future__ import annotations

import os
from pathlib import Path

from kft.data.bad import BadExamples
from kft.data.clips.frames import is_frame
from kft.data.folder_walk import entries_of, leads_astray

__all__ = ["clips_below"]


def clips_below(folder: Path, root: Path, bad: BadExamples) -> list[Path]:
    """Return the clips in a class folder and below it, ordered by path; see `files_below`.

    A sub-folder that directly contains images is one clip.

    Args:
        folder: The class folder.
        root: The folder of the data.
        bad: Collects files and folders that cannot be read.
    """
    clips: list[Path] = []
    waiting: list[os.DirEntry[str]] = list(reversed(entries_of(folder, root, bad)))
    while waiting:
        entry = waiting.pop()
        if leads_astray(entry, root, bad):
            continue
        if not entry.is_dir():
            clips.append(Path(entry.path))
            continue
        inside = entries_of(Path(entry.path), root, bad)
        frames = [one for one in inside if is_frame(one.name)]
        if not frames:
            waiting += reversed(inside)
        elif not any(leads_astray(one, root, bad) for one in frames):
            clips.append(Path(entry.path))
    return clips
