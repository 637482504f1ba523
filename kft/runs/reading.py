"""Reading the files of a run, which a stranger may have made: within its directory, and JSON."""

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
_DEEPEST = 64  # lists and objects inside each other; those of kft and Keras nest about ten
_LONGEST_INTEGER = 40  # digits and sign; the states of NumPy's generators have 128 bits


@contextlib.contextmanager
def opened(path: Path, most: int, *, within: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file to read, unless reading it could take for ever or fill the memory.

    Args:
        path: The file.
        most: Its largest size in bytes.
        within: The directory that the file must lie in; a link that leads out of it is refused.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is a device, a pipe, a directory, too large, or lies elsewhere.
        OSError: If it cannot be read.
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
        most: Its largest size in bytes.
        within: As for `opened`.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is damaged, too large, or nested too deep.
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
        raise InputError(f"`{path}` holds no JSON object: restore it from a copy.")
    return content


def parse_json(content: bytes, *, deepest: int = _DEEPEST) -> Any:
    """Parse JSON whose values nothing further down trips over.

    Args:
        content: The text, as UTF-8.
        deepest: How deep lists and objects may be nested.

    Raises:
        ValueError: If it is no JSON, is nested too deep, or holds an integer of more than 40
            digits or a text that is no Unicode.
    """
    try:
        found = json.loads(content.decode("utf-8"), parse_int=_integer)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _check_values(found, deepest)
    return found


def last_lines(path: Path, count: int) -> str:
    """Return the last lines of a log, as far as they lie in its last 64 KB."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2**16))
        lines = file.read(2**16).decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-count:])


def check_tree(directory: Path) -> None:
    """Check that a directory which is about to be written to holds files and directories only.

    Raises:
        InputError: If a link leads out of it, or something in it is a device, a pipe or a socket.
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
            value.encode("utf-8")  # half a surrogate pair is no text, and cannot be printed
        elif isinstance(value, (dict, list)):
            if depth > deepest:
                raise ValueError("nested too deep")
            if isinstance(value, dict):
                waiting += [(key, depth) for key in value]
                value = value.values()
            waiting += [(one, depth + 1) for one in value]
