"""Evaluation of a classifier at one threshold of one class, overall and for groups of examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kft.arguments import is_number, shown
from kft.data.sequences import as_rows
from kft.data.values import is_missing
from kft.errors import InputError
from kft.tasks.evaluation import plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Table
from kft.tasks.evaluation.figures import Figure, Figures
from kft.tasks.evaluation.intervals import score_interval

COLUMNS = (
    "examples",
    "of the class",
    "sensitivity",
    "95 % interval",
    "specificity",
    "95 % interval",
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class OperatingPoint(Evaluation):
    """Evaluation of one class against the rest, called if its score reaches a threshold.

    Returned by `evaluation.operating_point(...)`. A figure that the data do not define, such as the
    sensitivity without examples of the class, is None.

    Attributes:
        name: The class.
        threshold: The lowest score at which the class is called; infinite if it never is.
        truth: Whether each example belongs to the class, `(n,)`.
        called: Whether the class is called for each example, `(n,)`.
        groups: For each grouping, its groups by name, each an `OperatingPoint`.
        sensitivity: Fraction of the examples of the class that are called.
        specificity: Fraction of the other examples that are not called.
        precision: Fraction of the called examples that belong to the class. Unlike the other two, it
            depends on how frequent the class is.
    """

    name: str
    threshold: float
    truth: np.ndarray
    called: np.ndarray
    groups: Mapping[str, Mapping[str, OperatingPoint]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was evaluated, in one line."""
        return f"{self.name!r} called at {self.threshold:.4g} and above, {self._counted}"

    @property
    def figures(self) -> Figures:
        """Sensitivity, specificity and precision with their intervals (see `score_interval`)."""
        found, rest, called = f"of {self.truth.sum():,} called", "not called", "of the class"
        return Figures(
            [
                _fraction("sensitivity", self.called[self.truth], found),
                _fraction("specificity", ~self.called[~self.truth], f"of {self._others:,} {rest}"),
                _fraction(
                    "precision",
                    self.truth[self.called],
                    f"of {self.called.sum():,} called {called}",
                ),
            ]
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the figures, and a table per grouping."""
        tables = [
            Table(f"By {grouping}", (grouping, *COLUMNS), tuple(map(_row, found, found.values())))
            for grouping, found in self.groups.items()
        ]
        return (*super().tables(), *tables)

    def plot(self) -> plots.Drawing:
        """Return a drawing of sensitivity and specificity with intervals, overall and for each group."""
        named = [(f"all {len(self):,}", self)]
        for found in self.groups.values():
            named += [(f"{name} ({len(one):,})", one) for name, one in found.items()]
        figures = {name: one.figures for name, one in named}
        return plots.intervals(figures, ("sensitivity", "specificity"))

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers, without the scores."""
        groups = {
            grouping: {name: one.to_dict() for name, one in found.items()}
            for grouping, found in self.groups.items()
        }
        described = self.figures.described
        intervals = {f"{one.name}_interval": one.interval for one in described}
        own = {"class": self.name, "threshold": self.threshold}
        return {**super().to_dict(), **own, **intervals, **({"groups": groups} if groups else {})}

    @property
    def _others(self) -> int:
        return int((~self.truth).sum())


def operating_point(
    name: str,
    truth: np.ndarray,
    scores: np.ndarray,
    aims: Mapping[str, float | None],
    groups: Mapping[str, Any],
    examples: Any,
) -> OperatingPoint:
    """Evaluate one class against the rest at a threshold; see `OperatingPoint`.

    Args:
        name: The class.
        truth: Whether each example belongs to the class, bool `(n,)`.
        scores: The score of each example for the class, `(n,)`.
        aims: `specificity`, `sensitivity` and `threshold`, all None but one.
        groups: For each grouping, the group of each example, `(n,)`.
        examples: The positions of the examples in the data, `(n,)`.

    Raises:
        InputError: If not exactly one aim is given, or it is out of range; if the data have no examples
            that determine the threshold; or if a grouping does not have one value per example.
    """
    threshold = _threshold(truth, scores, aims)
    called = scores >= threshold
    places = np.asarray(examples)

    def part(chosen: Any, **inner: Any) -> OperatingPoint:
        return OperatingPoint(
            task="operating_point",
            examples=places[chosen],
            name=name,
            threshold=threshold,
            truth=truth[chosen],
            called=called[chosen],
            **inner,
        )

    made = {}
    for grouping, values in groups.items():
        rows = as_rows(values, f"groups[{grouping!r}]")
        named = np.array([_MISSING if is_missing(value) else str(value) for value in rows], str)
        if len(named) != len(truth):
            raise InputError(
                f"`groups`: {grouping!r} has {len(named):,} values for {len(truth):,} examples: pass "
                "one for each evaluated example, in their order; `evaluation.examples` are their places."
            )
        made[str(grouping)] = {str(one): part(named == one) for one in np.unique(named)}
    return part(slice(None), groups=made)


_MISSING = "(missing)"  # the group of examples without a value, as pandas and SQL have it


def _threshold(truth: np.ndarray, scores: np.ndarray, aims: Mapping[str, float | None]) -> float:
    """Return the given threshold, or the one that meets the aim at the least cost to the other figure."""
    given = {name: value for name, value in aims.items() if value is not None}
    if len(given) != 1:
        raise InputError(f"pass one of {', '.join(aims)}: {len(given)} were given.")
    ((aim, value),) = given.items()
    if aim == "threshold" and value == float("inf"):  # chosen on other data: nothing is called
        return float(value)
    if not is_number(value) or not 0 <= value <= 1:
        raise InputError(f"`{aim}={shown(value)}`: pass a fraction from 0 to 1, such as 0.9.")
    if aim == "threshold":
        return float(value)
    wanted = ~truth if aim == "specificity" else truth
    if not wanted.any():
        kind = "outside the class" if aim == "specificity" else "of the class"
        raise InputError(f"`{aim}={value}`: there is no example {kind} to find the threshold with.")
    if aim == "sensitivity":
        ranked = np.sort(scores[truth])[::-1]
        return float(ranked[max(_least(value, len(ranked)), 1) - 1])
    ranked = np.sort(scores[~truth])
    below = _least(value, len(ranked))  # as many must score less than the threshold
    above = scores[scores > ranked[below - 1]] if below else scores
    return float(above.min()) if len(above) else float("inf")


def _least(fraction: float, count: int) -> int:
    """Return the smallest number of examples that is at least a fraction; 0.9 of 10 is 9, not 10."""
    return int(np.ceil(round(fraction * count, 9)))


def _fraction(name: str, hits: np.ndarray, meaning: str) -> Figure:
    value = float(hits.mean()) if len(hits) else None
    interval = None if value is None else score_interval(value, len(hits))
    return Figure(name, value, interval, name, meaning, "max", is_fraction=True)


def _row(name: str, point: OperatingPoint) -> tuple[Any, ...]:
    figures = [point.figures.figure(one) for one in ("sensitivity", "specificity")]
    cells = [(one.value, _between(one)) for one in figures]
    return (name, len(point), int(point.truth.sum()), *cells[0], *cells[1])


def _between(figure: Figure) -> str:
    return "n/a" if figure.interval is None else "{:.2f} to {:.2f}".format(*figure.interval)
