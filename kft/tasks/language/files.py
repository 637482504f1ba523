"""Readers of .txt files, and of JSON lines of texts, prompts with answers, and chats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kft.data.columns import RowNames
from kft.data.encodings import LONGEST, text_of
from kft.data.files import shown
from kft.data.json_examples import read_json_lines
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.regular_files import read_regular, why
from kft.tasks.language.parts import joined, parts_of

__all__ = ["read_text_file", "read_text_lines"]


def read_text_file(path: Path, encoding: str) -> ReadFile:
    """Read a file that holds one text.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        content = read_regular(path, 4 * LONGEST)  # no encoding has more bytes per character
    except OSError as error:
        raise InputError(f"{shown(path.name)}: {why(error)}") from error
    text, reason = text_of(content, encoding)
    return ReadFile([text], [None], RowNames("text", [1]), {0: reason} if reason else {})


def read_text_lines(path: Path, encoding: str, template: str) -> ReadFile:
    """Read JSON lines of texts, of prompts with answers, or of chats.

    Args:
        path: The file.
        encoding: Its encoding if it has no byte order mark.
        template: The format of a chat message.

    Raises:
        InputError: If it cannot be read.
    """

    def example_of(value: dict[str, Any]) -> tuple[str, Any, str]:
        parts, reason = parts_of(value, template)
        return (*joined(parts), reason)

    return read_json_lines(path, encoding, example_of)
