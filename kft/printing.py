"""Printed output: tables as wide as the terminal, and texts made safe for terminals and spreadsheets."""

from __future__ import annotations

import copy
import dataclasses
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

_KERAS_OWN = re.compile(r"(functional|sequential|model)(_\d+)?")
PIPED = 100  # columns of a table if the output is not a terminal


def text_width(piped: int = PIPED) -> int:
    """Return the width of printed tables in columns, that of the terminal.

    Args:
        piped: The width if the output is not a terminal.
    """
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else piped


def as_text(shown: Any, piped: int = PIPED) -> str:
    """Render with rich to plain text, as wide as `text_width()` and without colours.

    Args:
        shown: A rich table, or anything else that a rich console prints.
        piped: As for `text_width`.
    """
    console = Console(width=text_width(piped), color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(shown)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines())


class Fitted:
    """A table that breaks words only if it must: one that is too wide has wrapped columns and no lines."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unlimited = options.update(max_width=10_000)
        if console.measure(self._table, options=unlimited).maximum <= options.max_width:
            yield self._table
            return
        plain = copy.copy(self._table)
        plain.box, plain.pad_edge = None, False
        needed = [_column_width(console, unlimited, column) for column in plain.columns]
        widths = _shared_width([*needed], options.max_width - 2 * (len(needed) - 1))
        plain.columns = [
            dataclasses.replace(column, width=width, overflow="fold")
            for column, width in zip(plain.columns, widths, strict=True)
        ]
        yield plain


def _column_width(console: Console, options: ConsoleOptions, column: Column) -> Measurement:
    """Return the widths of a column's longest word and of its longest cell."""
    cells = [
        Measurement.get(
            console, options, console.render_str(cell) if isinstance(cell, str) else cell
        )
        for cell in (column.header, *column.cells)
    ]
    return Measurement(max(one.minimum for one in cells), max(one.maximum for one in cells))


def _shared_width(needed: list[Measurement], width: int) -> list[int]:
    """Divide a width: each column gets its longest word, then the narrowest ones grow first.

    Where the longest words do not fit together, the widest columns break theirs.
    """
    widths = [one.minimum for one in needed]
    while sum(widths) > width and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    while sum(widths) < width:
        growing = [i for i, one in enumerate(needed) if widths[i] < one.maximum]
        if not growing:
            break
        widths[min(growing, key=widths.__getitem__)] += 1
    return widths


def captioned(caption: str, table: Table, below: str = "") -> Group:
    """Return a table between lines of text, which rich would wrap to its width if they were its title.

    Args:
        caption: The text above.
        table: The table.
        below: The text below.
    """
    after = [Text(below)] if below else []
    return Group(Text(caption, style="table.title"), Fitted(table), *after)


def printable(name: str) -> Text:
    """Return a name without control sequences for the terminal or markup for rich."""
    joiners = "\u200c\u200d"  # used in Persian and in emoji
    return Text("".join(c if c.isprintable() or c in joiners else repr(c)[1:-1] for c in name))


def without_formula(cell: Any) -> Any:
    """Return a cell for a CSV file, with an apostrophe before a text that is a spreadsheet formula.

    A formula begins with `=`, or with `+`, `-` or `@` if it also contains `(`, `|` or `!`, so that "-3"
    and "@you" are unchanged.
    """
    if not isinstance(cell, str):
        return cell
    begins = unicodedata.normalize("NFKC", cell.lstrip()[:1])  # full-width signs count too
    runs = begins == "=" or (begins in ("+", "-", "@") and any(sign in cell for sign in "(|!"))
    return f"'{cell}" if runs else cell


def name_of(model: Any) -> str:
    """Return the name of a Keras model, "the model" if it has an automatic one."""
    return "the model" if _KERAS_OWN.fullmatch(model.name) else model.name


def how_many(count: int, what: str) -> str:
    """Return a number with its noun in singular or plural: `1 epoch`, `2,000 epochs`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def listed_numbers(found: Mapping[str, Any]) -> str:
    """Return the numbers in a dict, or in dicts in it, as text: `1.21, 0.934`."""
    parts = (
        listed_numbers(v) if isinstance(v, Mapping) else f"{float(v):.3g}" for v in found.values()
    )
    return ", ".join(parts)


def number(value: float | None, fraction: bool = True) -> str:
    """Format a figure: a fraction with four decimals, others with four significant digits.

    Args:
        value: The number, None if undefined.
        fraction: Whether it is a fraction.
    """
    if value is None:
        return "n/a"
    return f"{value:.4f}" if fraction else f"{value:.4g}"
