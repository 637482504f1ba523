"""Pieces of HTML; all text from data is escaped by `text`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

from kft import plots
from kft.plots.style import Figure, printable, to_svg
from kft.printing import number


class Html(str):
    """A string that is markup; all other strings are text, and get escaped."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A section of the page: its anchor, its heading and its content."""

    anchor: str
    heading: str
    body: Html


def text(value: object) -> Html:
    """Escape any text, and remove control characters and lone surrogates."""
    if isinstance(value, Html):
        return value
    return Html(escape(printable(str(value))))


def name(value: object) -> Html:
    """Return a name from data as HTML, isolated so that its writing direction affects no other text."""
    return Html(f"<bdi>{text(value)}</bdi>")


def value(number_or_none: float | None, *, fraction: bool = True) -> Html:
    """Return a rounded number as HTML, with all its digits in the markup."""
    shown = number(number_or_none, fraction=fraction)
    if number_or_none is None:
        return Html(f'<abbr title="not defined by these data">{shown}</abbr>')
    return Html(f'<data value="{float(number_or_none)!r}">{shown}</data>')


def size(count: float | None) -> str:
    """Return a number of bytes in a readable unit; an empty string for None."""
    if count is None:
        return ""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def table(
    caption: str, head: Sequence[object], rows: Iterable[Sequence[object]], *, words: int = 1
) -> Html:
    """Return a table that scrolls by itself on a narrow screen; the first cell of a row is its heading.

    The first `words` columns contain words, aligned left, the others numbers.
    """
    kinds = [' class="words"' if i < words else "" for i in range(len(head))]
    columns = "".join(
        f'<th scope="col"{kind}>{text(cell)}</th>' for kind, cell in zip(kinds, head, strict=True)
    )
    lines = []
    for first, *rest in rows:
        pairs = zip(kinds[1:], rest, strict=True)
        cells = "".join(f"<td{kind}>{text(cell)}</td>" for kind, cell in pairs)
        lines.append(f'<tr><th scope="row">{text(first)}</th>{cells}</tr>')
    return scrolling(
        caption,
        Html(
            f"<table><caption>{text(caption)}</caption><thead><tr>{columns}</tr></thead>"
            f"<tbody>{''.join(lines)}</tbody></table>"
        ),
    )


def scrolling(label: str, body: Html) -> Html:
    """Return a box that scrolls sideways, also by keyboard."""
    # A scrolling region must be focusable, or the keyboard cannot reach its hidden content.
    return Html(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">{body}</div>'
    )


def chart(anchor: str, drawn: Figure, *, title: str, description: str, more: str = "") -> Html:
    """Return a figure with its caption; screen readers read `description` in its place."""
    svg = to_svg(drawn, name=anchor, description=f"{title}. {description}")
    return Html(
        f'<div class="chart"><h3>{text(title)}</h3><figure>{svg}'
        f"<figcaption>{text(description)}</figcaption></figure>{more}</div>"
    )


def keys(names: Sequence[tuple[str, str]]) -> Html:
    """Return a legend below a chart: names and values next to the colours and dashes of their lines."""
    items = []
    for i, (label, figure) in enumerate(names):
        dash = ("", "5 2", "1 1.5", "6 2 1 2")[i % len(plots.style.DASHES)]
        color = i % len(plots.style.SERIES) + 1
        items.append(
            f'<li><svg viewBox="0 0 24 6" aria-hidden="true"><path d="M0 3H24" fill="none" '
            f'stroke="var(--series-{color})" stroke-width="2.5" stroke-dasharray="{dash}"/></svg>'
            f'{name(label)} <span class="end">{figure}</span></li>'
        )
    return Html(f'<ul class="keys">{"".join(items)}</ul>')


def plain_table(markup: str) -> Html:
    """Return the tables of an HTML snippet, rebuilt from structure and text only.

    A table made for a notebook has colours that are wrong in dark mode, and layer names that may not
    be escaped. So only table tags and plain emphasis are kept, with no attributes except `scope`,
    `colspan` and `rowspan`.
    """
    rebuild = _Rebuild()
    rebuild.feed(markup)
    rebuild.close()
    return Html("".join(rebuild.parts))


class _Rebuild(HTMLParser):
    TAGS = frozenset(
        (
            "table",
            "caption",
            "thead",
            "tbody",
            "tfoot",
            "tr",
            "th",
            "td",
            "strong",
            "b",
            "em",
            "i",
            "code",
            "small",
            "p",
            "br",
            "ul",
            "ol",
            "li",
        )
    )
    DROPPED = frozenset(("style", "script", "template", "noscript", "iframe", "title"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.open: list[str] = []
        self.dropping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.DROPPED:
            self.dropping += 1
        elif tag in self.TAGS and not self.dropping:
            found = {key: value for key, value in attrs if _harmless(key, value)}
            if tag == "th":
                found.setdefault("scope", "row" if "tbody" in self.open else "col")
            kept = "".join(f' {key}="{text(value)}"' for key, value in found.items())
            self.parts.append(f"<{tag}{kept}>")
            if tag != "br":
                self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.DROPPED:
            self.dropping = max(0, self.dropping - 1)
        elif tag in self.open and not self.dropping:
            while self.open:
                closed = self.open.pop()
                self.parts.append(f"</{closed}>")
                if closed == tag:
                    break

    def handle_data(self, data: str) -> None:
        if not self.dropping:
            self.parts.append(text(data))

    def close(self) -> None:
        super().close()
        self.parts += [f"</{tag}>" for tag in reversed(self.open)]
        self.open = []


def _harmless(key: str, value: str | None) -> bool:
    if key == "scope":
        return value in ("row", "col", "rowgroup", "colgroup")
    return key in ("colspan", "rowspan") and value is not None and value.isdecimal()
