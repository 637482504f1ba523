"""The files in a zip or tar archive, read one after the other without unpacking to disk."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from kft.data.columns import MOST_BYTES, MOST_ROWS, open_table
from kft.data.files import shown
from kft.data.folder_walk import is_ignored_name
from kft.errors import InputError

__all__ = ["SUFFIXES", "members"]

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
)
_PACKED: list[tuple[bytes, Callable[..., Any]]] = [
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
]

Member = tuple[str, bytes, str]  # name, content, and the reason why it cannot be used


def members(path: Path, wanted: Callable[[str], bool], most: int) -> Iterator[Member]:
    """Yield the files of an archive that have a wanted suffix, in the order of the archive.

    Args:
        path: A .zip or .tar file; a .tar file may be compressed by gzip, bzip2 or xz.
        wanted: Returns whether to yield files with this suffix, given in lower case.
        most: The size in bytes of the largest file to read.

    Yields:
        The name of a file, its content, and why it cannot be used (empty if it can). Hidden files and
        those that operating systems leave behind are skipped.

    Raises:
        InputError: The archive is damaged, or unpacks to more than 8 GiB.
    """
    source = shown(path.name)
    entries = _of_zip if path.suffix.lower() == ".zip" else _of_tar
    total = 0
    with open_table(path, source) as file:
        try:
            for number, (name, size, problem, read) in enumerate(entries(file, most)):
                total += max(size, 0)
                if total > MOST_BYTES or number > MOST_ROWS:
                    raise InputError(
                        f"{source} unpacks to more than {MOST_BYTES:,} bytes: unpack it, and pass a "
                        "table of its files or a tf.data.Dataset"
                    )
                if not wanted(PurePosixPath(name).suffix.lower()) or _is_ignored(name):
                    continue
                problem = problem or _problem(name, size, most)
                yield name, b"" if problem else read(), problem
        except InputError:
            raise
        except _DAMAGED as error:
            message = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise InputError(f"{source} is damaged ({message}): pack it again") from error


Entry = tuple[str, int, str, Callable[[], bytes]]  # name, size, problem, and the read function


def _of_zip(file: IO[bytes], most: int) -> Iterator[Entry]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            problem = "encrypted: pack it without a password" if info.flag_bits & 1 else ""
            if stat.S_ISLNK(info.external_attr >> 16):
                problem = "a link: pack the file that it leads to"

            def read(info: zipfile.ZipInfo = info) -> bytes:
                with archive.open(info) as member:
                    return member.read(most)

            yield info.filename, info.file_size, problem, read


def _of_tar(file: IO[bytes], most: int) -> Iterator[Entry]:
    head = file.read(6)
    file.seek(0)
    unpack = next((unpack for mark, unpack in _PACKED if head.startswith(mark)), None)
    with contextlib.ExitStack() as opened:
        plain = file if unpack is None else opened.enter_context(unpack(file))
        bounded = _Bounded(plain, most)
        archive = opened.enter_context(tarfile.open(fileobj=bounded, mode="r:"))
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # else `tarfile` keeps every member
            if info.isdir():
                continue

            def read(info: tarfile.TarInfo = info) -> bytes:
                member = archive.extractfile(info)
                return b"" if member is None else member.read(most)

            problem = "" if info.isreg() else "a link or a device: pack the file itself"
            yield info.name, info.size, problem, read
        if any(bounded.last) or len(bounded.last) not in (0, tarfile.BLOCKSIZE):
            # `tarfile` treats a header that it cannot read as the end of the archive.
            raise tarfile.TarError(f"no file begins at byte {archive.offset:,}, nor is it the end")


class _Bounded(io.RawIOBase):
    """A file that bounds how much is read at once and how far ahead.

    Attributes:
        last: The result of the last read.
    """

    def __init__(self, file: Any, most: int) -> None:
        super().__init__()
        self._file, self._most = file, most
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self._check(size, self._most)
        self.last = self._file.read(size)
        return self.last

    def seek(self, place: int, whence: int = 0) -> int:
        self._check(place, MOST_BYTES)
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _check(self, size: int, most: int) -> None:
        if not 0 <= size <= most:
            raise tarfile.TarError(f"a part of it claims to have {size:,} bytes")


def _is_ignored(name: str) -> bool:
    return any(part != ".." and is_ignored_name(part) for part in PurePosixPath(name).parts)


def _problem(name: str, size: int, most: int) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        return "a name that leads out of the archive"
    return f"{size:,} bytes, but at most {most:,} are read" if size > most else ""
