"""Reading text files by lines."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from kft.data.columns import MOST_ROWS, open_table
from kft.data.encodings import LONGEST, encoding_of
from kft.data.files import shown
from kft.errors import InputError

__all__ = ["text_lines"]


def text_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield each line of a file with its number, from 1.

    Args:
        path: The file.
        encoding: The encoding if there is no byte order mark.

    Raises:
        InputError: The file cannot be read, or has too many or too long lines.
    """
    source = shown(path.name)
    with open_table(path, source) as file:
        used = encoding_of(file.read(4096), encoding)
    with open_table(path, source) as file:
        reader = io.TextIOWrapper(file, used, errors="surrogateescape", newline=None)
        try:
            for number in range(1, MOST_ROWS + 1):
                line = reader.readline(LONGEST + 1)
                if not line:
                    return
                if len(line) > LONGEST:
                    raise InputError(
                        f"line {number} of {source} has more than {LONGEST:,} characters"
                    )
                yield number, line.rstrip("\n")
        except UnicodeError as error:
            raise InputError(
                f"{source} cannot be read with encoding={used!r} ({error}): pass the right one"
            ) from error
    raise InputError(f"{source} has more than {MOST_ROWS:,} lines: split it")
