"""The result of a range test: a table, a figure, and stages with the rates found."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from kft.errors import InputError
from kft.insight.range_test.curve import Suggestions
from kft.plots.rates import Panel, range_tests
from kft.plots.style import Figure
from kft.printing import as_text, captioned, how_many
from kft.stages.stage import Stage

Which = Literal["valley", "steepest", "minimum"]
_WHICH = ("valley", "steepest", "minimum")
_CHOSEN: Which = "valley"
_HEADS = (f"{which} (chosen)" if which == _CHOSEN else which for which in _WHICH)
_LEGEND = (
    "Rates of the head. valley: the middle of the descent of the loss; steepest: where it falls fastest; minimum: "
    "a tenth of the rate with the lowest loss. lowest group: the valley for the lowest block."
)
_COLUMNS = ("stage", "groups", "first loss", "lowest loss", *_HEADS, "lowest group", "ended by")


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The range test of one stage.

    Attributes:
        stage: The stage.
        groups: The name of each group, the head first, and its rate as a fraction of the head's.
        rates: The head's rates.
        losses: The loss of the batch at each rate, before the step with that rate.
        smoothed: The losses, smoothed.
        diverged: Whether the loss ended the test, rather than the highest rate.
        suggestions: The suggested rates.
    """

    stage: Stage
    groups: tuple[tuple[str, float], ...]
    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    diverged: bool
    suggestions: Suggestions

    @property
    def valley(self) -> float | None:
        """The middle of the descent; None if the loss never fell."""
        return self.suggestions.valley

    @property
    def steepest(self) -> float | None:
        """Where the loss falls fastest; None if it never fell."""
        return self.suggestions.steepest

    @property
    def minimum(self) -> float | None:
        """A tenth of the rate with the lowest loss; None if it never fell."""
        return self.suggestions.minimum


@dataclass(frozen=True, eq=False)
class LearningRates:
    """The range tests of `kft.find_learning_rate`: print as a table, show as one in a notebook.

    Attributes:
        title: The name of what was tested.
        tests: A `RangeTest` for each stage with steps.
        solved: The stage before them that solves the head, if there is one.
        batch_size: Examples per step of the tests, for `batch_size` of the fit with these rates; `"auto"`
            for data that are batched already.
    """

    title: str
    tests: tuple[RangeTest, ...]
    solved: Stage | None = None
    batch_size: int | Literal["auto"] = "auto"

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each stage whose rate needs attention before it is used."""
        return tuple(filter(None, map(_warning, self.tests)))

    def stages(self, which: Which = _CHOSEN) -> list[Stage]:
        """Return the stages with the rates found, to two digits.

        Args:
            which: `"valley"`, `"steepest"` or `"minimum"`. Defaults to `"valley"`.

        Returns:
            The stages; one whose loss never fell keeps its own rate, and one that solves the head has
            none.

        Raises:
            InputError: If there is no such suggestion.
        """
        if which not in _WHICH:
            raise InputError(f"`which={which!r}`: pass {', '.join(map(repr, _WHICH))}.")
        found = [] if self.solved is None else [self.solved]
        for test in self.tests:
            rate = getattr(test, which)
            rate = test.stage.learning_rate if rate is None else float(f"{rate:.2g}")
            found.append(dataclasses.replace(test.stage, learning_rate=rate))
        return found

    def plot(self) -> Figure:
        """Return a figure of the loss against the rate, one panel per stage, with marked suggestions."""
        return range_tests(
            [
                Panel(
                    test.stage.label,
                    test.rates,
                    test.losses,
                    test.smoothed,
                    {which: getattr(test, which) for which in _WHICH},
                )
                for test in self.tests
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dicts, lists, strings and numbers."""
        return {
            "title": self.title,
            "batch_size": self.batch_size,
            "chosen": _CHOSEN,
            "warnings": list(self.warnings),
            "stages": [
                {
                    "stage": test.stage.to_dict(),
                    "groups": dict(test.groups),
                    **{which: getattr(test, which) for which in _WHICH},
                    "diverged": test.diverged,
                    "rates": test.rates.tolist(),
                    "losses": test.losses.tolist(),
                    "smoothed": test.smoothed.tolist(),
                }
                for test in self.tests
            ],
        }

    def __repr__(self) -> str:
        return f"<LearningRates for {self.title}: {', '.join(t.stage.label for t in self.tests)}>"

    def __rich__(self) -> Group:
        table = Table()
        for column in _COLUMNS:
            words = column in ("stage", "groups", "ended by")
            table.add_column(column, justify="left" if words else "right", overflow="fold")
        for row in map(_row, self.tests):
            table.add_row(*map(Text, row))
        return captioned(self._caption, table, "\n".join((_LEGEND, *self.warnings)))

    def __str__(self) -> str:
        return as_text(self, piped=120)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in _COLUMNS)
        body = "".join(_html_row(_row(test)) for test in self.tests)
        return (
            f"<table><caption>{html.escape(self._caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            + "".join(f"<p>{html.escape(one)}</p>" for one in (_LEGEND, *self.warnings))
        )

    @property
    def _caption(self) -> str:
        start = "" if self.solved is None else ", from a solved head"
        batches = "" if self.batch_size == "auto" else f", in batches of {self.batch_size}"
        return f"Learning rates for {self.title}{start}{batches}"


def _warning(test: RangeTest) -> str | None:
    """Return a warning if the chosen rate is above a tenth of the rate with the lowest loss."""
    chosen, minimum = getattr(test, _CHOSEN), test.minimum
    if chosen is None or minimum is None or minimum >= chosen:
        return None
    return (
        f"Stage {test.stage.label}: the minimum, {minimum:.2g}, lies below the {_CHOSEN}, "
        f"{chosen:.2g}: the loss rises soon after that rate. Take the minimum or less, or more steps."
    )


def _row(test: RangeTest) -> tuple[str, ...]:
    names = [name for name, _ in test.groups]
    others = f" and {how_many(len(names) - 1, 'block')}" if len(names) > 1 else ""
    found = [getattr(test, which) for which in _WHICH]
    deepest = test.groups[-1][1]
    scaled = "-" if deepest == 1 or found[0] is None else f"{found[0] * deepest:.2g}"
    return (
        test.stage.label,
        names[0] + others,
        f"{test.smoothed[0]:.4g}",
        f"{test.smoothed.min():.4g}",
        *("none" if rate is None else f"{rate:.2g}" for rate in found),
        scaled,
        "divergence" if test.diverged else f"rate {test.rates[-1]:.2g}",
    )


def _html_row(cells: Sequence[str]) -> str:
    first, *rest = map(html.escape, cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
