"""Opening files that a person names or a folder holds: regular ones only, each with a bound."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

__all__ = ["open_regular", "problem", "read_regular", "shown", "why"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LONGEST = 400  # letters of a path in a message
# Opening a pipe waits for a writer unless told not to; regular files do not care.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: str | os.PathLike[str], most: int) -> io.BufferedReader:
    """Open a regular file, and nothing that could block or never end.

    Args:
        path: The file; a link to one will do.
        most: The largest size in bytes that is accepted.

    Returns:
        The open file.

    Raises:
        OSError: It is not such a file; `why` says it in words.
    """
    _check(os.stat(path), most)  # before it is opened: opening a device may do something
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor), most)
    except OSError:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes, or raise as `open_regular`."""
    with open_regular(path, most) as file:
        # What is asked for is allocated: not `most`, which may be far more than there is.
        size = min(os.fstat(file.fileno()).st_size, most)
        content = file.read(size + 1)
        if len(content) > size:  # it has grown since, or its size is not known: as in /proc
            content += file.read(most - size)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes")
    return content


def problem(path: str | os.PathLike[str], most: int) -> str:
    """Say why `open_regular` would refuse a file by its kind and size; empty if it would not."""
    try:
        _check(os.stat(path), most)
    except OSError as error:
        return why(error)
    except ValueError:  # a NUL character in the name
        return "no such file"
    return ""


def why(error: OSError) -> str:
    """Say in a few words why a file cannot be read."""
    if error.errno in (errno.EISDIR, errno.EINVAL, errno.EFBIG) and error.strerror:
        return error.strerror
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "no such file"
    return f"cannot be read ({error.strerror or type(error).__name__})"


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as it can be printed on one line, whatever bytes it is made of."""
    name = str(Path(path)) if isinstance(path, os.PathLike) else path
    if not name.isprintable():
        # Python keeps a byte 0x82 that is not UTF-8 as the character U+DC82.
        name = repr(name)[1:-1].replace("\\udc", "\\x")
    return name if len(name) <= _LONGEST else f"{name[:100]}...{name[-200:]}"


def _check(status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EISDIR, f"{kind}, but a file is expected")
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"{status.st_size:,} bytes, but at most {most:,} are read")
