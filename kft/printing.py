"""What is printed for people: tables as wide as the terminal, texts that cannot harm it or a spreadsheet."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

_KERAS_OWN = re.compile(r"(functional|sequential|model)(_\d+)?")
PIPED = 100  # columns of a table that no terminal shows


def text_width(piped: int = PIPED) -> int:
    """Return how many columns a printed table has: the terminal's.

    Args:
        piped: Those of a table that no terminal shows.
    """
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else piped


def as_text(shown: Any, piped: int = PIPED) -> str:
    """Return what rich would print as plain text, as wide as `text_width()` and without colours.

    Args:
        shown: A rich table, or anything else that a rich console prints.
        piped: As for `text_width`.
    """
    console = Console(width=text_width(piped), color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(shown)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines())


def captioned(caption: str, table: Table, below: str = "") -> Group:
    """Return a table between lines of text, which as its title would be broken to its width.

    Args:
        caption: What stands above it.
        table: The table.
        below: What stands below it.
    """
    after = [Text(below)] if below else []
    return Group(Text(caption, style="table.title"), table, *after)


def printable(name: str) -> Text:
    """Return a name that cannot send the terminal commands, nor rich markup."""
    joiners = "\u200c\u200d"  # of Persian and of emoji
    return Text("".join(c if c.isprintable() or c in joiners else repr(c)[1:-1] for c in name))


def without_formula(cell: Any) -> Any:
    """Return a cell for a CSV file, with an apostrophe before a text that a spreadsheet would run.

    A formula begins with `=`. One that begins with `+`, `-` or `@` calls something, so that "-3" and
    "@you" stay as they are.
    """
    if not isinstance(cell, str):
        return cell
    begins = unicodedata.normalize("NFKC", cell.lstrip()[:1])  # full-width signs count too
    runs = begins == "=" or (begins in ("+", "-", "@") and any(sign in cell for sign in "(|!"))
    return f"'{cell}" if runs else cell


def name_of(model: Any) -> str:
    """Return the name that somebody gave a Keras model, "the model" where it has Keras' own."""
    return "the model" if _KERAS_OWN.fullmatch(model.name) else model.name


def how_many(count: int, what: str) -> str:
    """Return a number with its noun, of which an English plural is made: `1 epoch`, `2,000 epochs`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def number(value: float | None, fraction: bool = True) -> str:
    """Return a figure for people: a fraction with four decimals, others with four digits.

    Args:
        value: The number, None for one that is not defined.
        fraction: Whether it is a fraction.
    """
    if value is None:
        return "n/a"
    return f"{value:.4f}" if fraction else f"{value:.4g}"
