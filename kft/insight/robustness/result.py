"""The evaluations of a recipe on increasingly perturbed data."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from kft.plots.robustness import against_severity
from kft.plots.style import Figure as Drawing
from kft.printing import as_text, captioned, number
from kft.tasks import Evaluation, Figure


@dataclass(frozen=True, eq=False, repr=False)
class Robustness:
    """The evaluations at each severity; prints as a table, draws by `plot()`.

    Attributes:
        clean: The evaluation of the data as they are.
        perturbed: For each kind of perturbation, the evaluations at severities 1 to 5.
    """

    clean: Evaluation
    perturbed: Mapping[str, tuple[Evaluation, ...]]

    @property
    def figure(self) -> str:
        """Name of the figure that is compared: the first of the task's, such as `"accuracy"`."""
        return next(iter(self.clean.figures))

    @property
    def values(self) -> dict[str, tuple[float, ...]]:
        """The figure of each kind at severities 1 to 5."""
        return {
            name: tuple(float(one.figures[self.figure] or 0.0) for one in found)
            for name, found in self.perturbed.items()
        }

    @property
    def mean(self) -> float:
        """The mean of the figure over all kinds and severities."""
        return float(np.mean(list(self.values.values())))

    def plot(self) -> Drawing:
        """Return a figure by severity, one line per kind; severity 0 is the unperturbed data."""
        clean = float(self.clean.figures[self.figure] or 0.0)
        return against_severity(clean, self.values, self._described.label)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers."""
        return {
            "figure": self.figure,
            "mean": self.mean,
            "clean": self.clean.to_dict(),
            "perturbed": {name: list(found) for name, found in self.values.items()},
        }

    def __repr__(self) -> str:
        clean = self.clean.figures[self.figure]
        return f"<Robustness: {self.figure} {clean:.4g} clean, {self.mean:.4g} perturbed>"

    def __str__(self) -> str:
        table = Table()
        for index, column in enumerate(self._head):
            table.add_column(column, justify="right" if index else "left")
        for row in self._rows():
            table.add_row(*row)
        return as_text(captioned(self._caption, table))

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self._head)
        body = "".join(
            f'<tr><th scope="row">{html.escape(first)}</th>'
            f"{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"
            for first, *rest in self._rows()
        )
        return (
            f"<table><caption>{html.escape(self._caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    @property
    def _described(self) -> Figure:
        return self.clean.figures.figure(self.figure)

    @property
    def _caption(self) -> str:
        examples = f"{len(self.clean):,} examples"
        return f"{self._described.label} by severity, {examples}; {self._described} clean"

    _head = ("perturbation", "1", "2", "3", "4", "5", "mean")

    def _rows(self) -> Iterator[tuple[str, ...]]:
        rows = dict(self.values)
        if len(rows) > 1:
            rows["all"] = tuple(np.mean(list(rows.values()), axis=0))
        for name, values in rows.items():
            every = (*values, float(np.mean(values)))
            cells = [number(value, fraction=self._described.is_fraction) for value in every]
            yield name.replace("_", " "), *cells
