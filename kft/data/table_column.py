"""Streaming of a table's column of inputs, which may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kft.data.columns import in_column
from kft.data.delimited import Delimited
from kft.data.files import shown
from kft.data.parquet import stream_parquet
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["stream_column"]

Row = tuple[str, str, str]  # the name of the row, its value, and why it cannot be used


def stream_column(
    path: Path, column: str, *, encoding: str, modality: str
) -> Callable[[], Iterator[Row]]:
    """Check the head of a table, and return a function that yields the values of a column.

    Args:
        path: A .csv, .tsv or .parquet file, as for `read_table`.
        column: The column.
        encoding: The encoding of a .csv or .tsv file without a byte order mark.
        modality: `"image"`, `"text"` or `"clip"`, for messages.

    Returns:
        A function that starts from the beginning on each call: it yields the name of a row, its value,
        and why the row cannot be used (empty if it can).

    Raises:
        InputError: The file is not a table, or has no such column or no rows.
    """
    rows = _of_parquet if path.suffix.lower() == ".parquet" else _of_lines
    values = rows(path, column, encoding, modality)

    def read() -> Iterator[Row]:
        for place, value, reason in values():
            if reason:
                yield place, "", reason
                continue
            text, reason = text_value(value, encoding)
            kept = value if reason and isinstance(value, str) else text
            yield place, kept, in_column(reason, column, encoding) if reason else ""

    return read


def _of_parquet(
    path: Path, column: str, _: str, modality: str
) -> Callable[[], Iterator[tuple[str, Any, str]]]:
    values = stream_parquet(path, column, source=shown(path.name), modality=modality)
    return lambda: ((f"row {number}", value, "") for number, value in enumerate(values(), 1))


def _of_lines(
    path: Path, column: str, encoding: str, modality: str
) -> Callable[[], Iterator[tuple[str, Any, str]]]:
    source = shown(path.name)
    table = Delimited(path, [column], encoding=encoding, source=source, modality=modality)
    if next(table.rows(), None) is None:
        raise InputError(f"{source} has no rows below the first line")
    place, width = table.header.index(column), len(table.header)

    def read() -> Iterator[tuple[str, Any, str]]:
        for line, row in table.rows():
            wrong = f"{len(row)} fields, but the first line names {width} columns"
            fits = len(row) == width
            yield f"line {line}", row[place] if fits else "", "" if fits else wrong

    return read
