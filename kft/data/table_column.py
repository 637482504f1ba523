"""One column of a table, row by row, so that a table may be larger than the memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kft.errors import InputError

__all__ = ["LONGEST", "is_decodable", "stream_column"]

LONGEST = 2**24  # letters of one text: a longer one is a file that is no table
_ROWS = 128  # of a Parquet file that are read together

Row = tuple[str, str, str]  # what to call the row, the value, and why it cannot be used


def stream_column(
    path: Path, column: str, *, encoding: str, modality: str
) -> Callable[[], Iterator[Row]]:
    """Check the head of a table, and return what reads one of its columns.

    Args:
        path: A .csv, .tsv or .parquet file.
        column: The column.
        encoding: Of a .csv or .tsv file.
        modality: `"image"` or `"text"`, for messages.

    Returns:
        A function that begins anew each time it is called: it yields what to call a row, its value,
        and why the row cannot be used (empty if it can).

    Raises:
        InputError: If there is no such column, no row, or it is no table.
    """
    if path.suffix.lower() == ".parquet":
        return _of_parquet(path, column, modality)
    return _of_lines(path, column, encoding, modality)


def is_decodable(text: str) -> bool:
    """Whether a text that was read with `surrogateescape` had the encoding that it was read in."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


def _of_parquet(path: Path, column: str, modality: str) -> Callable[[], Iterator[Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except pa.ArrowException as error:
        raise InputError(
            f"{path.name} is no readable Parquet file ({error}): write it again"
        ) from error
    _check_head(schema.names, column, path.name, modality)
    if not count:
        raise InputError(f"{path.name} has no rows")
    kind = schema.field(column).type
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    if str(held) not in ("string", "large_string", "string_view"):
        raise InputError(f"{path.name}: column {column!r} holds {kind}, but texts are expected")

    def read() -> Iterator[Row]:
        number = 0
        with pq.ParquetFile(path) as file:
            for rows in file.iter_batches(_ROWS, columns=[column]):
                for value in rows.column(0).to_pylist():
                    number += 1
                    yield _row(f"row {number}", value or "", column)

    return read


def _of_lines(path: Path, column: str, encoding: str, modality: str) -> Callable[[], Iterator[Row]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    quoting = csv.QUOTE_MINIMAL
    if delimiter == "\t" and not _is_regular(path, encoding, quoting):
        # Many writers of TSV do not quote, so that a lone quotation mark would swallow what follows.
        quoting = csv.QUOTE_NONE if _is_regular(path, encoding, csv.QUOTE_NONE) else quoting
    rows = _lines(path, encoding, delimiter, quoting)
    header = [name.strip() for name in next(rows, (0, []))[1]]
    if not header:
        raise InputError(f"{path.name} is empty: expected a first line that names the columns")
    _check_head(header, column, path.name, modality)
    if next(rows, None) is None:
        raise InputError(f"{path.name} has no rows below the first line")
    place = header.index(column)

    def read() -> Iterator[Row]:
        rows = _lines(path, encoding, delimiter, quoting)
        next(rows)
        for line, row in rows:
            if len(row) != len(header):
                reason = f"{len(row)} fields where the first line names {len(header)} columns"
                yield f"line {line}", "", reason
            else:
                yield _row(f"line {line}", row[place], column)

    return read


def _row(name: str, value: str, column: str) -> Row:
    return name, value, "" if value.strip() else f"no value in column {column!r}"


def _check_head(names: list[str], column: str, source: str, modality: str) -> None:
    if column not in names:
        argument = "text_column" if modality == "text" else "path_column"
        raise InputError(
            f"{source} has no column {column!r}, only {', '.join(map(repr, names))}: name the right "
            f"one by {argument}=..."
        )
    if names.count(column) > 1:
        raise InputError(f"{source} has {names.count(column)} columns {column!r}: rename one")


def _is_regular(path: Path, encoding: str, quoting: Any) -> bool:
    """Whether each row of a TSV has one line, and a cell for each column."""
    width = None
    try:
        for _, row in _lines(path, encoding, "\t", quoting):
            width = len(row) if width is None else width
            if len(row) != width or any("\n" in field for field in row):
                return False
    except InputError:
        return False
    return True


def _lines(
    path: Path, encoding: str, delimiter: str, quoting: Any
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line on which it begins."""
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    csv.field_size_limit(LONGEST)
    try:
        with open(path, encoding=name, errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)
            line = 1
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + 1
    except UnicodeError as error:
        raise InputError(
            f"{path.name} cannot be read with encoding={encoding!r} ({error}): pass the right one"
        ) from error
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror})") from error
    except csv.Error as error:
        raise InputError(
            f"{path.name} has an unbalanced quotation mark ({error}): write one inside a quoted "
            "field twice"
        ) from error
