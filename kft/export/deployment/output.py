"""The directory of a deployment's files: checked before anything is written, and never half full."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kft.arguments import shown
from kft.data.files import shown as printed
from kft.errors import InputError
from kft.regular_files import lies_in
from kft.runs.files import writing_to


def check_output(directory: Path, version: Path) -> None:
    """Refuse a directory that has files, or where they would become part of the versions.

    Args:
        directory: The directory, which may not exist yet.
        version: The version that is deployed.

    Raises:
        InputError: If it is one of these, a file, or cannot be written to.
    """
    named = f"`output={shown(str(directory))}`"
    if lies_in(directory, version.parent):
        raise InputError(
            f"{named} lies in the directory of the versions, where a server looks for more of them: pass "
            "a directory elsewhere."
        )
    try:
        names = os.listdir(directory) if os.path.lexists(directory) else []
        found = next(one for one in (directory, *directory.absolute().parents) if one.exists())
    except NotADirectoryError as error:
        raise InputError(f"{named} is not a directory: pass a new or an empty one.") from error
    except OSError as error:
        raise InputError(f"{named}: {error.strerror}; pass another directory.") from error
    if names:
        raise InputError(
            f"{named} holds {shown(min(names))}, which is not overwritten: pass a new or an empty "
            "directory."
        )
    if not found.is_dir() or not os.access(found, os.W_OK | os.X_OK):
        raise InputError(f"{named}: `{printed(found)}` cannot be written to; pass another path.")


def write(directory: Path, files: Mapping[str, str], copies: Mapping[str, Path]) -> None:
    """Write files, and copy others, into an empty directory; after an error, nothing is left.

    Args:
        directory: The directory, created if needed.
        files: Path in the directory to content.
        copies: Path in the directory to the file or folder whose copy it becomes. It has no links.

    Raises:
        InputError: If the files cannot be written.
    """
    is_new = not directory.exists()
    made: list[Path] = []
    with writing_to(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            for name, content in files.items():
                _make_parents(directory, name, made)
                with open(directory / name, "x", encoding="utf-8", newline="\n") as file:
                    made.append(directory / name)
                    file.write(content)
            for name, source in copies.items():
                _make_parents(directory, name, made)
                made.append(directory / name)
                _copy(source, directory / name)
        except BaseException:
            _remove(made)
            if is_new:
                directory.rmdir()
            raise


def _copy(source: Path, place: Path) -> None:
    """Copy a file or a folder with the permissions of new files."""
    if source.is_dir():
        shutil.copytree(source, place, symlinks=True, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, place, follow_symlinks=False)


def _make_parents(directory: Path, name: str, made: list[Path]) -> None:
    """Create the directories that contain a path, and add them to those that were made."""
    for parent in reversed(Path(name).parents[:-1]):
        if not (directory / parent).is_dir():
            (directory / parent).mkdir()
            made.append(directory / parent)


def _remove(paths: list[Path]) -> None:
    for path in reversed(paths):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
