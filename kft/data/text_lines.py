"""Reading text files by lines, and JSON Lines files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kft.data.columns import MOST_ROWS, RowNames, open_table
from kft.data.encodings import LONGEST, encoding_of
from kft.data.files import shown
from kft.data.source_hooks import ReadFile
from kft.data.values import kind_of
from kft.errors import InputError

__all__ = ["read_json_lines", "text_lines"]


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


def read_json_lines(
    path: Path, encoding: str, example_of: Callable[[dict[str, Any]], tuple[str, Any, str]]
) -> ReadFile:
    """Read a file with a JSON object on each line.

    Args:
        path: The file.
        encoding: The encoding if there is no byte order mark.
        example_of: Returns the text of an object, its label, and why it cannot be used (empty if it
            can).

    Raises:
        InputError: The file cannot be read, or is empty.
    """
    names = RowNames("line")
    found = ReadFile([], [], names, {})
    for number, line in text_lines(path, encoding):
        if not line.strip():
            continue
        text, label, reason = _example(line, example_of)
        if reason:
            found.reasons[len(found.inputs)] = reason
        found.inputs.append(text)
        found.labels.append(label)
        names.numbers.append(number)
    if not found.inputs:
        raise InputError(f"{shown(path.name)} is empty: expected a JSON object on each line.")
    return found


def _example(
    line: str, example_of: Callable[[dict[str, Any]], tuple[str, Any, str]]
) -> tuple[str, Any, str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return "", [], f"not JSON ({error!s:.60})"
    if not isinstance(value, dict):
        return "", [], f"{kind_of(value)}, but an object is expected"
    return example_of(value)
