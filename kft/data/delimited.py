"""Reading CSV and TSV files by rows, and detecting their encoding, separator and quoting."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from kft.data.columns import MOST_ROWS, Columns, RowNames, check_columns, open_table
from kft.data.encodings import LONGEST, encoding_of, what_else
from kft.errors import InputError

__all__ = ["Delimited", "read_delimited"]

_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_DIRECTIVE = re.compile(r'"?sep=(.)"?[\r\n]*')  # Excel's own first line

Quoting = Literal[0, 3]  # csv.QUOTE_MINIMAL and csv.QUOTE_NONE
Row = tuple[int, list[str]]  # the number of its first line, and its fields


def read_delimited(
    path: Path,
    wanted: Sequence[str],
    *,
    encoding: str,
    source: str,
    modality: str,
    others: Mapping[str, str],
) -> Columns:
    """Read columns of a CSV or TSV file, keeping only these in memory.

    Args:
        path: The file.
        wanted: The column of the inputs, then those of the labels.
        encoding: The encoding if there is no byte order mark; undecodable bytes become surrogates.
        source: The name of the file in messages.
        modality: `"image"`, `"text"` or `"clip"`.
        others: Other requested columns, by the arguments that name them.

    Raises:
        InputError: The file is empty or of another type, lacks a column, or has unbalanced quotation
            marks.
    """
    table = Delimited(
        path, wanted, encoding=encoding, source=source, modality=modality, others=others
    )
    places = [table.header.index(name) for name in (*wanted, *others.values())]
    found = Columns([[] for _ in places], RowNames("line"))
    for line, row in table.rows():
        if len(row) != len(table.header):
            found.reasons[len(found.names)] = (
                f"{len(row)} fields, but the first line names {len(table.header)} columns: put "
                'fields that contain the separator or a line break in "double quotes"'
            )
            row = [""] * len(table.header)
        found.names.numbers.append(line)
        if len(found.names) > MOST_ROWS:
            raise InputError(f"{source} has more than {MOST_ROWS:,} rows: split it")
        for values, place in zip(found.values, places, strict=True):
            values.append(row[place])
    return found


class Delimited:
    """A CSV or TSV file whose first line names its columns.

    The separator is the usual one of the suffix if the first line then has all requested columns,
    otherwise the one among comma, semicolon, tab and bar with which it has.

    Args:
        path: The file.
        wanted: The column of the inputs, then those of the labels.
        encoding: The encoding if there is no byte order mark.
        source: The name of the file in messages.
        modality: `"image"`, `"text"` or `"clip"`.
        others: Other requested columns, by the arguments that name them.

    Attributes:
        header: The names of the columns.
        separator: The character between two fields.
    """

    def __init__(
        self,
        path: Path,
        wanted: Sequence[str],
        *,
        encoding: str,
        source: str,
        modality: str,
        others: Mapping[str, str] | None = None,
    ) -> None:
        self.path, self.source = path, source
        self.encoding = self._look(encoding)
        first = next(self._lines(0), "")
        directive = _DIRECTIVE.fullmatch(first)
        self._skipped = 1 if directive else 0
        self.separator = directive[1] if directive else self._guessed(wanted)
        self.header = self._first_row(self.separator)
        if not self.header:
            raise InputError(
                f"{source} is empty: expected a first line that names the columns, such as "
                f"{list(wanted)}"
            )
        usual = "\t" if path.suffix.lower() == ".tsv" else ","
        note = "" if self.separator == usual else f" (separated by {self.separator!r})"
        unknown = ", or add a first line that names the columns if there is none"
        check_columns(self.header, wanted, source, modality, note, others, unknown)
        self._quoting = self._usual_quoting()

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header, without blank lines."""
        return itertools.islice(self._rows(self.separator, self._quoting), 1, None)

    def _look(self, encoding: str) -> str:
        with open_table(self.path, self.source) as file:
            head = file.read(4096)
        other = what_else(head)
        if other:
            raise InputError(f"{self.source} is {other}")
        found = encoding_of(head, encoding)
        wide = found.lower().replace("_", "-").startswith(("utf-16", "utf-32", "utf16", "utf32"))
        if b"\0" in head.split(b"\n")[0] and not wide:
            raise InputError(
                f"{self.source} has NUL bytes in its first line: pass encoding='utf-16-le' if it is "
                "UTF-16 without a byte order mark; otherwise it is not a CSV file"
            )
        return found

    def _guessed(self, wanted: Sequence[str]) -> str:
        usual = "\t" if self.path.suffix.lower() == ".tsv" else ","
        headers = {usual: self._first_row(usual)}
        if set(wanted) <= set(headers[usual]):
            return usual
        headers |= {mark: self._first_row(mark) for mark in _SEPARATORS if mark != usual}
        fitting = [mark for mark, header in headers.items() if set(wanted) <= set(header)]
        if len(fitting) > 1:
            named = " or ".join(_SEPARATORS[mark] for mark in fitting)
            raise InputError(
                f"{self.source}: its separator may be {named}: quote the names in its first line"
            )
        # Without a match the message shows the header as split by the only plausible separator.
        several = [mark for mark, header in headers.items() if len(header) > 1]
        return (fitting or (several if len(several) == 1 else []) or [usual])[0]

    def _first_row(self, separator: str) -> list[str]:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            with contextlib.suppress(InputError):
                _, row = next(self._rows(separator, quoting), (0, []))
                return [name.strip() for name in row]
        return []

    def _usual_quoting(self) -> Quoting:
        if self.separator != "\t" or self._is_regular(csv.QUOTE_MINIMAL):
            return csv.QUOTE_MINIMAL
        # Many TSV files are not quoted, so that a lone quotation mark would swallow later lines.
        return csv.QUOTE_NONE if self._is_regular(csv.QUOTE_NONE) else csv.QUOTE_MINIMAL

    def _is_regular(self, quoting: Quoting) -> bool:
        """Return whether each row has one line, and a field for each column."""
        try:
            return all(
                len(row) == len(self.header) and not any("\n" in field for field in row)
                for _, row in self._rows(self.separator, quoting)
            )
        except InputError:
            return False

    def _rows(self, separator: str, quoting: Quoting) -> Iterator[Row]:
        with _long_fields(), contextlib.closing(self._lines(self._skipped)) as lines:
            # `str.splitlines` would also split at form feeds and Unicode separators inside a text.
            reader = csv.reader(lines, delimiter=separator, quoting=quoting, strict=True)
            line = 1 + self._skipped
            try:
                for row in reader:
                    if row:
                        yield line, row
                    line = reader.line_num + 1 + self._skipped
            except csv.Error as error:
                raise InputError(self._said(error, line)) from error

    def _said(self, error: csv.Error, line: int) -> str:
        if "field limit" in str(error):
            return (
                f"line {line} of {self.source} has a field of more than {LONGEST:,} characters: shorten "
                "it, or balance its quotation marks"
            )
        return (
            f"line {line} of {self.source} has an unbalanced quotation mark ({error}): write one "
            "inside a quoted field twice"
        )

    def _lines(self, skipped: int) -> Generator[str, None, None]:
        with (
            open_table(self.path, self.source) as raw,
            io.TextIOWrapper(raw, self.encoding, errors="surrogateescape", newline="") as file,
        ):
            try:
                for number in itertools.count(1):
                    line = file.readline(LONGEST + 1)
                    if not line:
                        return
                    if len(line) > LONGEST:
                        raise InputError(
                            f"line {number} of {self.source} has more than {LONGEST:,} characters: "
                            "shorten it"
                        )
                    if number > skipped:
                        yield line
            except UnicodeError as error:
                raise InputError(
                    f"{self.source} cannot be read with encoding={self.encoding!r} ({error}): pass "
                    "the right one"
                ) from error


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """Raise the limit of `csv`, which is global to the process, to the longest text."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, LONGEST))
    try:
        yield
    finally:
        csv.field_size_limit(before)
