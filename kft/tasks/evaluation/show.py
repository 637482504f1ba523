"""Tables of an evaluation as text for terminals and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from kft import printing
from kft.printing import captioned, number, printable
from kft.tasks.evaluation.content import Cell, Table


def shown(cell: Cell) -> str:
    """Return a cell as plain text, neither shortened nor escaped."""
    if cell is None or isinstance(cell, float):
        return number(cell)
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def rich_table(table: Table) -> Group:
    """Return a table with its caption for a terminal; names from the data are made printable."""
    made = RichTable()
    for index, name in enumerate(table.head):
        numeric = table.is_numeric(index)
        made.add_column(
            printable(name),
            justify="right" if numeric else "left",
            overflow="ellipsis" if index else "fold",  # row names are shown in full
        )
    for row in table.rows:
        made.add_row(*(printable(shown(cell)) for cell in row))
    return captioned(table.caption, made)


def rich_remark(remark: str) -> Text:
    """Return a remark for a terminal."""
    return Text.assemble("Warning: ", printable(remark))


def as_text(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Return tables and remarks as plain text as wide as the terminal, without colours."""
    parts = (*map(rich_table, tables), *map(rich_remark, remarks))
    return "\n\n".join(map(printing.as_text, parts))


def as_html(tables: Sequence[Table], remarks: Sequence[str] = ()) -> str:
    """Return tables and remarks as HTML without colours, for light and dark notebooks."""
    warnings = (f"<p><strong>Warning:</strong> {escape(remark)}</p>" for remark in remarks)
    return "\n".join((*map(_html, tables), *warnings))


def _html(table: Table) -> str:
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    lines = []
    for first, *rest in table.rows:
        cells = "".join(f"<td>{escape(shown(cell))}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(shown(first))}</th>{cells}</tr>')
    return (
        f'<table><caption style="text-align:left">{escape(table.caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )
