"""Safe reading of a run's untrusted files: bounded, and within its directory."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from kft.errors import InputError
from kft.regular_files import REFUSED, lies_in, open_regular

LARGEST_JSON = 32 * 2**20
_DEEPEST = 64  # nested lists and objects; kft and Keras nest about ten
_LONGEST_INTEGER = 40  # digits and sign, enough for the 128 bits in states of NumPy's generators


@contextlib.contextmanager
def opened(path: Path, most: int, *, within: Path | None = None) -> Iterator[BinaryIO]:
    """Open a regular file of bounded size for reading.

    Args:
        path: The file.
        most: Its maximum size in bytes.
        within: The directory that must contain the file; links that lead out of it are refused.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is a device, a pipe, a directory, too large, or elsewhere.
        OSError: It cannot be read.
    """
    try:
        file = open_regular(path, most, within=within)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        way_out = "." if error.errno == errno.EXDEV else ": restore it from a copy."
        raise InputError(f"`{path}` is {error.strerror}{way_out}") from error
    with file:
        yield file


def read_json(path: Path, most: int = LARGEST_JSON, *, within: Path | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        most: Its maximum size in bytes.
        within: As for `opened`.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: It is damaged, too large, or nested too deeply.
    """
    try:
        with opened(path, most, within=within) as file:
            return parse_json(file.read(most))
    except (FileNotFoundError, InputError):
        raise
    except (ValueError, OSError) as error:
        raise InputError(f"`{path}` cannot be read ({error}): restore it from a copy.") from error


def read_object(
    path: Path, most: int = LARGEST_JSON, *, within: Path | None = None
) -> dict[str, Any]:
    """Read a JSON file that holds an object, with the arguments and errors of `read_json`."""
    content = read_json(path, most, within=within)
    if not isinstance(content, dict):
        raise InputError(f"`{path}` is not a JSON object: restore it from a copy.")
    return content


def parse_json(content: bytes, *, deepest: int = _DEEPEST) -> Any:
    """Parse JSON, refusing values that could cause errors later.

    Args:
        content: The text in UTF-8.
        deepest: The maximum nesting of lists and objects.

    Raises:
        ValueError: It is not JSON, is nested too deeply, or has an integer of more than 40 digits
            or text that is not valid Unicode.
    """
    try:
        found = json.loads(content.decode("utf-8"), parse_int=_integer)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _check_values(found, deepest)
    return found


def last_lines(path: Path, count: int) -> str:
    """Return the last lines of a log, taken from its last 64 KB."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2**16))
        lines = file.read(2**16).decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-count:])


def check_tree(directory: Path) -> None:
    """Check that a directory to write to contains only files and directories.

    Raises:
        InputError: A link leads out of it, or an entry is a device, a pipe or a socket.
    """
    waiting = [directory]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_symlink():
                    if not lies_in(path, directory):
                        raise InputError(
                            f"`{path}` is a link out of `{directory}`, through which other files "
                            "would be changed: remove the link, or pass another directory."
                        )
                elif entry.is_dir():
                    waiting.append(path)
                elif not entry.is_file():
                    raise InputError(
                        f"`{path}` is neither a file nor a directory: remove it, or pass another "
                        "directory."
                    )


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _check_values(found: Any, deepest: int) -> None:
    waiting = [(found, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            value.encode("utf-8")  # a lone surrogate is not valid text, and cannot be printed
        elif isinstance(value, (dict, list)):
            if depth > deepest:
                raise ValueError("nested too deep")
            if isinstance(value, dict):
                waiting += [(key, depth) for key in value]
                value = value.values()
            waiting += [(one, depth + 1) for one in value]
