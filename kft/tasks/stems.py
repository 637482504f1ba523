"""The files of a folder by stem, to pair them with those of another folder."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from kft.data.bad import BadExamples
from kft.data.folder_walk import files_below

__all__ = ["by_stem"]


def by_stem(
    folder: Path,
    root: Path,
    bad: BadExamples,
    suffixes: Set[str],
    others: Set[str] = frozenset(),
) -> dict[str, Path]:
    """Return the files of a folder by their relative path without the suffix.

    Args:
        folder: The folder.
        root: The folder that the names of bad files are relative to.
        bad: Collects files with another suffix, or with the stem of another file.
        suffixes: The allowed suffixes, in lower case.
        others: Suffixes of files that lie there for another purpose. Defaults to none.
    """
    found: dict[str, Path] = {}
    for path in files_below(folder, root, bad):
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if path.suffix.lower() in others - suffixes:
            continue
        if path.suffix.lower() not in suffixes:
            expected = ", ".join(sorted(suffixes))
            bad.add(str(path.relative_to(root)), f"expected a file that ends in {expected}")
        elif stem in found:
            bad.add(str(path.relative_to(root)), f"has the name of {found[stem].name}")
        else:
            found[stem] = path
    return dict(sorted(found.items()))
