"""What CSV and Parquet tables share: size limits, checks of columns, and names of rows."""

from __future__ import annotations

import io
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kft.arguments import closest
from kft.data.encodings import RIGHT_ENCODING
from kft.data.files import shown
from kft.errors import InputError
from kft.regular_files import open_regular, why

__all__ = [
    "MOST_BYTES",
    "MOST_ROWS",
    "Columns",
    "RowNames",
    "check_columns",
    "in_column",
    "open_table",
]

MOST_BYTES = 8 * 2**30  # of a table's file, and of the values read from it
MOST_ROWS = 100_000_000
_SHOWN = 20  # names of columns in a message


class RowNames(Sequence):
    """The names of rows in messages, "line 2" or "example 0", in eight bytes per row."""

    def __init__(self, kind: str, numbers: Iterable[int] = ()) -> None:
        self.kind = kind
        self.numbers = array("q", numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        return f"{self.kind} {self.numbers[index]}"


@dataclass
class Columns:
    """The requested columns of a table.

    Attributes:
        values: A list of values for each column.
        names: The names of the rows in messages.
        reasons: Why whole rows cannot be used, by index.
    """

    values: list[list[Any]]
    names: RowNames
    reasons: dict[int, str] = field(default_factory=dict)


def open_table(path: str | os.PathLike[str], source: str) -> io.BufferedReader:
    """Open the file of a table.

    Raises:
        InputError: The file is not a regular one, is too large, or cannot be read.
    """
    try:
        return open_regular(path, MOST_BYTES)
    except OSError as error:
        raise InputError(
            f"{source}: {why(error)}; for more data than memory pass a tf.data.Dataset"
            if "bytes, but" in why(error)
            else f"{source}: {why(error)}"
        ) from error


def check_columns(
    header: Sequence[str],
    wanted: Sequence[str],
    source: str,
    modality: str,
    note: str = "",
    others: Mapping[str, str] | None = None,
    unknown: str = "",
) -> None:
    """Check that a table has each requested column exactly once.

    Args:
        header: The names of its columns.
        wanted: The column of the inputs, then those of the labels.
        source: The name of the table in messages.
        modality: `"image"`, `"text"` or `"clip"`.
        note: A remark on the header for the message.
        others: Other requested columns, by the arguments that name them.
        unknown: The end of the message if the table has none of the columns in `wanted`.

    Raises:
        InputError: A column is missing, or several have its name.
    """
    first = f"{'text' if modality == 'text' else 'path'}_column"
    arguments = [first, *["label_column"] * (len(wanted) - 1), *(others or {})]
    for argument, name in zip(arguments, [*wanted, *(others or {}).values()], strict=True):
        if name not in header:
            similar = closest(name, (one for one in header if one.isprintable()))
            right = "..." if similar is None else repr(similar)
            nameless = "" if any(one in header for one in wanted) else unknown
            raise InputError(
                f"{source} has no column {name!r:.60}, only {_listed(header)}{note}: name the right "
                f"one by {argument}={right} of recipe.read{nameless}"
            )
        if header.count(name) > 1:
            raise InputError(
                f"{source} has {header.count(name)} columns called {name!r:.60}: rename all but one"
            )


def in_column(reason: str, column: str, encoding: str) -> str:
    """Add the column of a table to the reason why a value cannot be used."""
    if reason in ("no text", "empty text"):
        return f"no value in column {column!r}"
    if reason == "no label":
        return f"no label in column {column!r}"
    if reason.startswith(f"not {encoding}"):
        return f"not {encoding} in column {column!r}: {RIGHT_ENCODING}"
    return f"{reason}, in column {column!r}"


def _listed(header: Sequence[str]) -> str:
    some: Iterator[str] = (repr(shown(name[:60])) for name in header[:_SHOWN])
    more = f" and {len(header) - _SHOWN} more" if len(header) > _SHOWN else ""
    return ", ".join(some) + more
