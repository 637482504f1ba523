"""The style of all figures, and their conversion to SVG with the colours of a page."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.text import Text

# Each has at least 3:1 contrast on white, and a counterpart on dark in the report's style sheet.
INK, MUTED, GRID, SHADE = "#1f2430", "#59616f", "#d5dae1", "#eef1f5"
SERIES = (
    "#0b61a4",
    "#c2570c",
    "#00796b",
    "#a8327d",
    "#6b7000",
    "#b3261e",
    "#5e4bb6",
    "#7a5230",
)
# Lines differ in style too, to be distinguishable without colour.
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", SHADE: "--shade"} | {
    color: f"--series-{i + 1}" for i, color in enumerate(SERIES)
}
SIZE = (5.0, 3.5)
# Control characters, and lone surrogates, which file names can contain.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Figure(MatplotlibFigure):
    """A matplotlib figure that shows itself in a notebook, even without pyplot.

    Its texts, which are names from data, are never rendered by LaTeX, which a `matplotlibrc` in the
    working directory could enable.
    """

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        """Save the figure like matplotlib."""
        with self._without_latex():
            super().savefig(*args, **kwargs)

    def write_svg(self, file: io.StringIO, **metadata: str | None) -> None:
        """Write the figure as SVG on a transparent background.

        The result is that of `savefig`, which would draw the figure once more for its layout.
        """
        canvas, ground = self.canvas, self.get_facecolor()
        self.set_facecolor("none")
        try:
            with self._without_latex():
                FigureCanvasSVG(self).print_svg(file, metadata=metadata)
        finally:
            self.set_canvas(canvas)
            self.set_facecolor(ground)

    @contextlib.contextmanager
    def _without_latex(self) -> Iterator[None]:
        with matplotlib.rc_context({"text.usetex": False}):
            for text in self.findobj(Text):
                text.set_usetex(False)
            yield

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=110)
        return file.getvalue()


def figure(size: tuple[float, float] = SIZE) -> Figure:
    """Return an empty figure that draws without a display."""
    made = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(made)
    return made


def style_axes(axes: Axes, *, x: str, y: str, title: str = "", grid: str = "y") -> None:
    """Set the fonts, colours and labels of axes."""
    axes.set_facecolor("none")
    axes.set_xlabel(x, color=MUTED, fontsize=11, parse_math=False)
    axes.set_ylabel(y, color=MUTED, fontsize=11, parse_math=False)
    axes.set_title(title, color=INK, fontsize=12, loc="left", parse_math=False)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=11, length=0, which="both")
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(MUTED)
    if grid:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def legend(axes: Axes, names: list[str], columns: int = 2) -> None:
    """Add a legend above the axes, with names from data shown verbatim."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    # matplotlib drops names that begin with "_" and typesets "$", so texts are set afterwards.
    made = axes.legend(
        lines,
        [str(i) for i in range(len(lines))],
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=11,
        borderaxespad=0.1,
        handlelength=1.8,
        columnspacing=1.2,
    )
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(short(name))
        text.set_color(INK)


def printable(text: str) -> str:
    """Return a text with replacements for characters that files and browsers cannot show."""
    return UNPRINTABLE.sub("\ufffd", text)


def short(name: str, limit: int = 20) -> str:
    """Return a name that fits a figure: one line, no control characters, an ellipsis if too long."""
    clean = " ".join(printable(name).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def to_svg(drawn: Figure, *, name: str, description: str) -> str:
    """Return inline SVG with texts as text elements and colours as the page's CSS variables.

    Args:
        drawn: The figure.
        name: A name that is unique on the page and prefixes the ids.
        description: The text for screen readers.

    Returns:
        An `<svg>` element without a fixed size.
    """
    file = io.StringIO()
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}),
        warnings.catch_warnings(),
    ):
        # The browser has fonts for glyphs that matplotlib's lack.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        drawn.write_svg(file, Date=None, Creator=None, Format=None, Type=None)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    opening, _, body = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', opening)
    assert box is not None
    # Ids are global to the page: unused ones are removed, the others get the prefix.
    body = re.sub(r'<g id="[^"#]*_\d+">', "<g>", body)
    body = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    for color, variable in VARIABLES.items():
        body = body.replace(color, f"var({variable})")
    return (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]} role="img" '
        f'aria-label="{escape(printable(description))}">{body}'
    )
