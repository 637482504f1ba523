"""Listing of folders, without files of the operating system and links that lead out."""

import os
from collections.abc import Iterator, Set
from pathlib import Path

from kft.data.bad import BadExamples
from kft.data.files import shown
from kft.errors import InputError
from kft.regular_files import why

__all__ = [
    "entries_of",
    "files_below",
    "is_ignored",
    "is_ignored_name",
    "leads_astray",
    "walked",
]

_IGNORED = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}


def is_ignored(entry: os.DirEntry[str]) -> bool:
    """Return whether a file or folder is hidden, or left behind by an operating system."""
    return is_ignored_name(entry.name)


def is_ignored_name(name: str) -> bool:
    """Return whether a file or folder of this name is ignored; see `is_ignored`."""
    return name[0] == "." or name.lower() in _IGNORED


def entries_of(folder: Path, root: Path, bad: BadExamples) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, ordered by name, without ignored ones.

    Args:
        folder: The folder.
        root: The folder of the data, which is the same or a parent.
        bad: Collects folders that cannot be read.

    Raises:
        InputError: The folder of the data itself cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not is_ignored(entry)]
    except OSError as error:
        if folder == root:
            raise InputError(f"folder {shown(folder)}: {why(error)}") from error
        bad.add(str(folder.relative_to(root)), f"a folder that {why(error)}")
        return []
    return sorted(kept, key=lambda entry: entry.name)


def files_below(folder: Path, root: Path, bad: BadExamples) -> list[Path]:
    """Return the files in a folder and below it, ordered by path; see `entries_of`."""
    files: list[Path] = []
    waiting: list[Path | os.DirEntry[str]] = [folder]
    while waiting:
        one = waiting.pop()
        if isinstance(one, os.DirEntry):
            if leads_astray(one, root, bad):
                continue
            if not one.is_dir():
                files.append(Path(one.path))
                continue
        waiting += reversed(entries_of(Path(one), root, bad))
    return files


def leads_astray(entry: os.DirEntry[str], root: Path, bad: BadExamples) -> bool:
    """Return whether a link leads out of the data, nowhere, or to a folder, and record it as bad."""
    name = str(Path(entry.path).relative_to(root))
    try:
        if not entry.is_symlink():
            entry.is_dir()  # may raise, which is caught here
            return False
        target = Path(os.path.realpath(entry.path))
        reason = ""
        if not target.is_relative_to(root):
            reason = (
                f"a link that leads out of the dataset folder, to {shown(target)}; copy the file into "
                "the folder"
            )
        elif not os.path.exists(target):
            reason = "a link that leads nowhere"
        elif os.path.isdir(target):
            reason = "a link to a folder, whose files would count twice"
    except OSError as error:
        reason = why(error)
    if reason:
        bad.add(name, reason)
    return bool(reason)


def nothing_below(folder: Path, name: str, suffixes: Set[str]) -> InputError:
    """Return the error for a folder without inputs.

    Args:
        folder: The folder.
        name: The name of an input, such as "image".
        suffixes: The accepted suffixes.
    """
    return InputError(
        f"{shown(folder)}: no {name} in this folder or below it, that is, no file that ends in "
        f"{', '.join(sorted(suffixes))}"
    )


def walked(
    folder: Path, root: Path, endings: Set[str], frames: Set[str] = frozenset()
) -> Iterator[tuple[Path, str]]:
    """Yield the files below a folder with one of these suffixes, and why each cannot be used.

    Args:
        folder: The folder.
        root: The resolved folder of the data, which is the same or a parent.
        endings: Suffixes in lower case, such as ".txt".
        frames: Suffixes of frames, which make their folder a single input.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield folder, f"cannot be read ({error.strerror})"
        return
    found = [entry for entry in found if not is_ignored(entry)]
    inside = [entry for entry in found if Path(entry.name).suffix.lower() in frames]
    if inside:
        yield folder, next(filter(None, (_reason(entry, root) for entry in inside)), "")
        return
    for entry in found:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from walked(path, root, endings, frames)
        elif entry.is_dir():
            yield path, "a link to a folder: name that folder too, if it is wanted"
        elif path.suffix.lower() in endings:
            yield path, _reason(entry, root)


def _reason(entry: os.DirEntry[str], root: Path) -> str:
    """Return why an entry of a folder cannot be read; empty if it can."""
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        if not target.is_relative_to(root):
            return f"a link that leads out of the folder, to {shown(target)}"
        if not os.path.exists(target):
            return "a link that leads nowhere"
    return "" if entry.is_file() else "not a file"
