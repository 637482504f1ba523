"""Limits for the files of a version: regular, inside it, and small enough to be read."""

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from kft.export import runtimes, versions, warmup
from kft.export.promises import METADATA

_MOST_FILES = 10_000
_MOST_BYTES = {
    "saved_model.pb": 2**27,
    versions.MANIFEST: 2**24,
    METADATA: 2**24,
    warmup.PATH: 2**30,
    runtimes.GOLDEN: 2**30,
}
_OTHER_GRAPHS = ("saved_model.pbtxt", "saved_model.cpb")  # loaded in place of `saved_model.pb`


def compare_files(directory: str | os.PathLike) -> list[str]:
    """Return why the files of a version must not be opened, a sentence each; empty if they may.

    Links may lead outside, pipes and devices never end, and parsing takes several times a file's size.

    Args:
        directory: The version directory.
    """
    directory = Path(directory)
    reasons = []
    for count, path in enumerate(_walk(directory)):
        name = str(path.relative_to(directory))
        if count == _MOST_FILES:
            return [f"it has more than {_MOST_FILES:,} files"]
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            reasons.append(f"{name!r} is a link: copy the version with the files themselves")
        elif not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            reasons.append(f"{name!r} is not a plain file")
        elif status.st_size > _MOST_BYTES.get(name, status.st_size):
            reasons.append(f"{name} has {status.st_size:,} bytes, more than {_MOST_BYTES[name]:,}")
    reasons += [
        f"{name} would be loaded in place of saved_model.pb"
        for name in _OTHER_GRAPHS
        if (directory / name).exists()
    ]
    return reasons or _compare_golden(directory / runtimes.GOLDEN)


def _walk(directory: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(directory):  # does not follow links
        yield from (Path(folder, name) for name in (*folders, *files))


def _compare_golden(path: Path) -> list[str]:
    """Return whether golden inputs are too large when unpacked; unreadable ones are reported later."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return []
    most = _MOST_BYTES[runtimes.GOLDEN]
    return [f"{runtimes.GOLDEN} unpacks to {size:,} bytes, more than {most:,}"] * (size > most)
