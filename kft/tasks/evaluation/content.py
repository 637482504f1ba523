"""The contents of an evaluation, independent of how a terminal, a notebook or a page draws them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kft.tasks.evaluation.figures import Figure

if TYPE_CHECKING:
    from kft.plots.style import Figure as Drawing

Cell = str | int | float | Figure | None
"""A cell of a table: text, a count, a fraction, a figure, or None for an undefined value."""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names the row.

    Args:
        caption: What it shows.
        head: The names of its columns.
        rows: Its rows.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def is_numeric(self, column: int) -> bool:
        """Return whether a column holds numbers, which are aligned to the right."""
        return not any(isinstance(row[column], str) for row in self.rows)


@dataclass(frozen=True)
class Grid:
    """A confusion matrix, whose cells are shaded by their fraction of the row.

    Args:
        caption: What it shows.
        names: The classes.
        counts: Rows of counts; the diagonal is right.
    """

    caption: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A drawing with its caption.

    Args:
        title: What it is.
        description: What it shows, also for readers who cannot see it.
        drawn: The drawing.
        legend: Name and value of each line, in the order of the palette.
    """

    title: str
    description: str
    drawn: Drawing
    legend: tuple[tuple[str, float | None], ...] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Args:
        text: Its sentences.
        names: Names from the data to append, separated by commas.
        ending: Text after the names.
        is_notice: Whether it is highlighted.
    """

    text: str
    names: tuple[str, ...] = ()
    ending: str = ""
    is_notice: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A small picture of an example with its label or prediction.

    Args:
        caption: Its origin in a word, such as "data" or "model".
        pixels: uint8 `[height, width, 3]`.
    """

    caption: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Args:
        index: Position of the example in the evaluated data.
        expected: The label, ready to print.
        predicted: The prediction, ready to print.
        size: How bad it is, such as the confidence in the wrong answer (0..1) or the absolute error of
            a regression.
        pictures: Pictures to show next to the example. Defaults to none.
    """

    index: int
    expected: str
    predicted: str
    size: float
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Mistakes:
    """The worst predictions, each next to its example.

    Args:
        found: The mistakes, the worst first.
        sentence: A template for each, with `{predicted}`, `{expected}` and `{size}`.
        size_format: The format of the size, as in `format(size, ".1%")`.
    """

    found: tuple[Mistake, ...]
    sentence: str
    size_format: str


Part = Table | Grid | Chart | Text | Mistakes


@dataclass(frozen=True)
class Section:
    """A section of the page of a run.

    Args:
        anchor: Its fragment in the page's address, unique among the sections.
        heading: Its heading.
        parts: Its contents from top to bottom; parts in a tuple are shown side by side.
    """

    anchor: str
    heading: str
    parts: tuple[Part | tuple[Part, ...], ...]

    def named(self, name: str) -> Section:
        """Return the section with the name of one of several tasks before its anchor and heading."""
        return dataclasses.replace(
            self, anchor=f"{name}-{self.anchor}", heading=f"{name}: {self.heading}"
        )
