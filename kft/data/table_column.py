"""The column of a table with the inputs, row by row, so that it may be larger than the memory."""

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

Row = tuple[str, str, str]  # what to call the row, the value, and why it cannot be used


def stream_column(
    path: Path, column: str, *, encoding: str, modality: str
) -> Callable[[], Iterator[Row]]:
    """Check the head of a table, and return what reads one of its columns.

    Args:
        path: A .csv, .tsv or .parquet file, read as `read_table` reads one.
        column: The column.
        encoding: Of a .csv or .tsv file without a byte order mark.
        modality: `"image"` or `"text"`, for messages.

    Returns:
        A function that begins anew each time it is called: it yields what to call a row, its value,
        and why the row cannot be used (empty if it can).

    Raises:
        InputError: If there is no such column, no row, or it is no table.
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
