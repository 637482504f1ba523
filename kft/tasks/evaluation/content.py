"""What an evaluation has to show, without saying how: a terminal, a notebook and a page draw it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kft.tasks.evaluation.figures import Figure

if TYPE_CHECKING:
    from kft.plots.style import Figure as Drawing

Cell = str | int | float | Figure | None
"""A cell of a table: words, a count, a fraction, a figure, or None for what is not defined."""


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
        """Return whether a column holds numbers, which line up at the right."""
        return not any(isinstance(row[column], str) for row in self.rows)


@dataclass(frozen=True)
class Grid:
    """A confusion matrix, whose cells are shaded by their part of the row.

    Args:
        caption: What it shows.
        names: The classes.
        counts: Rows of counts; those on the diagonal are right.
    """

    caption: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Chart:
    """A drawing with its caption.

    Args:
        title: What it is.
        description: What it shows, also for those who cannot see it.
        drawn: The drawing.
        legend: Name and value of each line, in the order of the house's colours.
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
        names: Names from data that follow, separated by commas.
        ending: What follows the names.
        is_notice: Whether it stands out.
    """

    text: str
    names: tuple[str, ...] = ()
    ending: str = ""
    is_notice: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A small picture of what the data or the model say of an example.

    Args:
        caption: Whose it is, in a word.
        pixels: uint8 `[height, width, 3]`.
    """

    caption: str
    pixels: np.ndarray


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Args:
        index: Position of the example in the evaluated data.
        expected: What the data say, ready to print.
        predicted: What the model said, ready to print.
        size: How bad it is: the confidence in the wrong answer (0..1), or a regression's absolute
            error.
        pictures: What to show beside the example. Defaults to nothing.
    """

    index: int
    expected: str
    predicted: str
    size: float
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Mistakes:
    """The worst predictions, each beside its example.

    Args:
        found: The mistakes, the worst first.
        sentence: What is said of each: a template with `{predicted}`, `{expected}` and `{size}`.
        size_format: How the size is written, as in `format(size, ".1%")`.
    """

    found: tuple[Mistake, ...]
    sentence: str
    size_format: str


Part = Table | Grid | Chart | Text | Mistakes


@dataclass(frozen=True)
class Section:
    """A part of the page of a run.

    Args:
        anchor: Its name in the page's address, unique among the sections.
        heading: Its heading.
        parts: What is in it, from top to bottom; parts in a tuple stand side by side.
    """

    anchor: str
    heading: str
    parts: tuple[Part | tuple[Part, ...], ...]

    def named(self, name: str) -> Section:
        """Return the same section for one of several tasks."""
        return dataclasses.replace(
            self, anchor=f"{name}-{self.anchor}", heading=f"{name}: {self.heading}"
        )
