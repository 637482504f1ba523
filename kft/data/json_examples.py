"""Examples in JSON: an object on each line, or a list of objects."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kft.data.columns import RowNames, open_table
from kft.data.encodings import encoding_of
from kft.data.files import shown
from kft.data.source_hooks import ReadFile
from kft.data.text_lines import text_lines
from kft.data.values import kind_of
from kft.errors import InputError

__all__ = ["json_document", "read_json_lines", "read_json_list"]

_MOST_JSON = 2**29  # bytes of a document, which takes several times as much memory
ExampleOf = Callable[[dict[str, Any]], tuple[str, Any, str]]


def read_json_lines(path: Path, encoding: str, example_of: ExampleOf) -> ReadFile:
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
        names.numbers.append(number)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            _add(found, ("", [], f"not JSON ({error!s:.60})"))
        else:
            _add(found, _example(value, example_of))
    if not found.inputs:
        raise InputError(f"{shown(path.name)} is empty: expected a JSON object on each line.")
    return found


def read_json_list(path: Path, encoding: str, example_of: ExampleOf) -> ReadFile:
    """Read a file that holds one JSON list of objects.

    Args:
        path: The file.
        encoding: The encoding if there is no byte order mark.
        example_of: As for `read_json_lines`.

    Raises:
        InputError: The file cannot be read, or is not such a list.
    """
    source = shown(path.name)
    content, _ = json_document(path, encoding, source)
    if not isinstance(content, list) or not content:
        raise InputError(f"{source} holds {kind_of(content)}, but a list of objects is expected.")
    found = ReadFile([], [], RowNames("item", range(1, len(content) + 1)), {})
    for value in content:
        _add(found, _example(value, example_of))
    return found


def _add(found: ReadFile, example: tuple[str, Any, str]) -> None:
    text, label, reason = example
    if reason:
        found.reasons[len(found.inputs)] = reason
    found.inputs.append(text)
    found.labels.append(label)


def _example(value: Any, example_of: ExampleOf) -> tuple[str, Any, str]:
    if not isinstance(value, dict):
        return "", [], f"{kind_of(value)}, but an object is expected"
    return example_of(value)


def json_document(path: Path, encoding: str, source: str) -> tuple[Any, int]:
    """Return the content of a JSON file, and its size in bytes.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.
        source: Its name in messages.

    Raises:
        InputError: The file cannot be read, is larger than 512 MiB, or is not JSON.
    """
    with open_table(path, source) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MOST_JSON:
            raise InputError(
                f"{source} has {size:,} bytes, but at most {_MOST_JSON:,} are read as one JSON document: "
                "write JSON lines, which are read one by one"
            )
        content = file.read(size)
    used = encoding_of(content[:4], encoding)
    try:
        return json.loads(content.decode(used)), len(content)
    except UnicodeError as error:
        raise InputError(
            f"{source} cannot be read with encoding={used!r} ({error}): pass the right one"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not JSON ({error!s:.80})") from error
