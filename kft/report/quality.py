"""Sections about the quality of the model, rendered from an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kft.report.markup import Html, Section, chart, keys, name, scrolling, table, text, value
from kft.report.mistakes import mistakes
from kft.report.source import Source
from kft.tasks.evaluation import content
from kft.tasks.evaluation.figures import Figure


def summary(source: Source) -> Section | None:
    """Return the section with the main figures of the evaluation."""
    found = source.evaluation
    if found is None:
        note = "There is no evaluation: this page shows only the training."
        return Section("summary", "Summary", Html(f"<p>{note}</p>"))
    cards = "".join(
        f"<div><dt>{text(one.label)}</dt><dd class=figure>{_cell(one)}</dd>"
        f"<dd>{text(one.described)}</dd></div>"
        for one in found.figures.described
    )
    what = found.title
    if source.examples is not None:
        what += f", from {source.examples.source}"
    remarks = "".join(f'<p class="notice">{text(remark)}</p>' for remark in found.remarks)
    body = f'<p>{text(what)}.</p><dl class="cards">{cards}</dl>{remarks}'
    return Section("summary", "Summary", Html(body))


def quality(source: Source) -> list[Section]:
    """Return the sections of the evaluation."""
    found = source.evaluation
    return [] if found is None else [_section(one, source) for one in found.sections()]


def _section(section: content.Section, source: Source) -> Section:
    body, charts = "", ""
    for index, part in enumerate(section.parts):
        anchor = f"{section.anchor}-{index}"
        if isinstance(part, content.Chart):
            charts += _part(part, anchor, source)
            continue
        body += _charts(charts)
        charts = ""
        if isinstance(part, tuple):
            beside = (_part(one, f"{anchor}-{place}", source) for place, one in enumerate(part))
            together = "".join(beside)
            body += f'<div class="beside">{together}</div>' if len(part) > 1 else together
        else:
            body += _part(part, anchor, source)
    return Section(section.anchor, section.heading, Html(body + _charts(charts)))


def _charts(drawn: str) -> str:
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def _part(part: content.Part, anchor: str, source: Source) -> Html:
    if isinstance(part, content.Table):
        numeric = (index for index in range(len(part.head)) if part.is_numeric(index))
        rows = [tuple(map(_cell, row)) for row in part.rows]
        words = next(numeric, len(part.head)) or 1  # the first column names the row
        return table(part.caption, part.head, rows, words=words)
    if isinstance(part, content.Grid):
        return _grid(part)
    if isinstance(part, content.Chart):
        legend = [(label, value(figure)) for label, figure in part.legend]
        more = keys(legend) if legend else ""
        return chart(anchor, part.drawn, title=part.title, description=part.description, more=more)
    if isinstance(part, content.Text):
        kind = ' class="notice"' if part.is_notice else ""
        listed = ", ".join(map(name, part.names))
        return Html(f"<p{kind}>{text(part.text)}{listed}{text(part.ending)}</p>")
    return mistakes(part, source.examples)


def _cell(cell: content.Cell) -> Html:
    if isinstance(cell, Figure):
        return value(cell.value, fraction=cell.is_fraction)
    if cell is None or isinstance(cell, float):
        return value(cell)
    return text(f"{cell:,}") if isinstance(cell, int) else name(cell)


def _grid(grid: content.Grid) -> Html:
    head = "".join(f'<th scope="col">{name(one)}</th>' for one in grid.names)
    lines = [
        f'<tr><th scope="row">{name(label)}</th>{"".join(cells)}</tr>'
        for label, cells in zip(grid.names, _shaded(grid.counts), strict=True)
    ]
    body = (
        '<table class="confusion"><caption>Counts, true by predicted</caption><thead><tr>'
        f'<th scope="col">true \\ predicted</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )
    return scrolling(grid.caption, Html(body))


def _shaded(counts: Sequence[Sequence[int]]) -> list[list[str]]:
    matrix = np.asarray(counts)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    # Next to a diagonal near 1 all errors would look white, so they have their own scale.
    worst = float((shares - np.diag(np.diag(shares))).max()) or 1.0
    lines = []
    for i, row in enumerate(counts):
        cells = []
        for j, count in enumerate(row):
            kind, whole = ("right", 1.0) if i == j else ("wrong", worst)
            share = shares[i, j] / whole
            cells.append(f'<td class="{kind}" style="--share:{share:.3f}">{count:,}</td>')
        lines.append(cells)
    return lines
