"""Safe opening of untrusted files: only regular ones of bounded size."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

__all__ = ["REFUSED", "lies_in", "open_regular", "problem", "read_regular", "why"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
# O_NONBLOCK avoids waiting for the writer of a pipe; it has no effect on regular files.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Error numbers that are raised here and not by the system, with the whole reason in `strerror`.
REFUSED = (errno.EISDIR, errno.EFBIG, errno.EXDEV)


def open_regular(
    path: str | os.PathLike[str],
    most: int,
    *,
    within: str | os.PathLike[str] | None = None,
    follow: bool = True,
) -> io.BufferedReader:
    """Open a regular file, and nothing that could block or never end.

    Args:
        path: The file.
        most: The maximum size in bytes.
        within: A directory that a link must not lead out of.
        follow: Whether a link to a file is accepted.

    Returns:
        The open file.

    Raises:
        OSError: It is not such a file; `why` returns the reason in words.
    """
    # Checked before opening, since opening a device may have effects.
    _check(os.stat(path, follow_symlinks=follow), most)
    if within is not None and not lies_in(path, within):
        raise OSError(
            errno.EXDEV,
            f"a link out of `{os.fspath(within)}`: replace it with a copy of the file that it leads "
            f"to, {os.path.realpath(path)}, if that is what you expect there",
        )
    descriptor = os.open(path, _FLAGS | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    try:
        _check(os.fstat(descriptor), most)
    except OSError:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")


def read_regular(path: str | os.PathLike[str], most: int, *, follow: bool = True) -> bytes:
    """Return the content of a regular file of at most `most` bytes, or raise like `open_regular`."""
    with open_regular(path, most, follow=follow) as file:
        # `read` allocates the requested size, so `most`, which may be far larger, is not requested.
        size = min(os.fstat(file.fileno()).st_size, most)
        content = file.read(size + 1)
        if len(content) > size:  # it has grown, or its size is unknown as in /proc
            content += file.read(most - size)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes")
    return content


def problem(path: str | os.PathLike[str], most: int) -> str:
    """Return why `open_regular` would refuse a file by its kind and size; empty if it would not."""
    try:
        _check(os.stat(path), most)
    except OSError as error:
        return why(error)
    except ValueError:  # a NUL character in the name
        return "no such file"
    return ""


def lies_in(path: str | os.PathLike[str], directory: str | os.PathLike[str]) -> bool:
    """Return whether a path is below a directory after following links."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def why(error: OSError) -> str:
    """Return a short reason why a file cannot be read."""
    if error.errno in (*REFUSED, errno.EINVAL) and error.strerror:
        return error.strerror
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "no such file"
    return f"cannot be read ({error.strerror or type(error).__name__})"


def _check(status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EISDIR, f"{kind}, but a file is expected")
    if status.st_size > most:
        raise OSError(errno.EFBIG, f"{status.st_size:,} bytes, but at most {most:,} are read")
