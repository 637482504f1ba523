"""The base class of all evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kft.tasks.evaluation import show
from kft.tasks.evaluation.content import Mistake, Section, Table
from kft.tasks.evaluation.figures import Figures

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from kft.plots.style import Figure as Drawing


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Evaluation:
    """Figures of a model on labelled examples, shown as a table in terminals and notebooks.

    The figures depend on the task, see `SingleLabelEvaluation`, `MultiLabelEvaluation`,
    `RegressionEvaluation`, `MetricsEvaluation` and `SeveralEvaluation`. Each figure is also an
    attribute: `evaluation.accuracy`. A figure that the data do not define is None, never 0 or NaN.

    To write your own evaluation, subclass this and define `figures`. The rest has defaults: `remarks`,
    `tables`, the `sections` of a run's page, `mistakes`, and the drawing that `plot` returns.

    Args:
        task: Name of the task.
        examples: The positions of the evaluated examples in the data, in increasing order. The
            examples themselves are not kept.

    Attributes:
        figures: Name and value of each figure, the most informative one first; see `Figures`.
        remarks: What is suspicious about the answers, such as one class for all examples, and what to do.
        title: What was evaluated, in one line.
    """

    task: str
    examples: range | np.ndarray

    @property
    def figures(self) -> Figures:
        """Name and value of each figure, the most informative one first."""
        raise NotImplementedError(f"{type(self).__name__} must define `figures`.")

    @property
    def title(self) -> str:
        """What was evaluated, in one line."""
        return f"{self.task.replace('_', ' ').capitalize()}, {self._counted}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is suspicious about the answers, and what to do; by default nothing."""
        return ()

    def tables(self) -> tuple[Table, ...]:
        """Return the tables for terminals and notebooks; by default the figures."""
        rows = tuple((one.label, one, one.described) for one in self.figures.described)
        return (Table(self.title, ("figure", "value", "meaning"), rows),)

    def sections(self) -> tuple[Section, ...]:
        """Return the sections of a run's page in addition to the figures; by default none."""
        return ()

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the worst predictions, the worst first, ties in the order of the data.

        Args:
            limit: The maximum number of mistakes.

        Returns:
            The mistakes; by default none, for tasks that do not define what a mistake is.
        """
        return ()

    def plot(self) -> Drawing:
        """Return the most informative drawing as a matplotlib figure; by default a bar per figure."""
        from kft.tasks.evaluation import plots

        return plots.bars(self.figures)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain dicts, lists, strings and numbers, without the scores."""
        remarks = list(self.remarks)
        return {"task": self.task, "examples": len(self), **self.figures, "remarks": remarks}

    @property
    def _counted(self) -> str:
        return "1 example" if len(self) == 1 else f"{len(self):,} examples"

    def __len__(self) -> int:
        return len(self.examples)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("examples", "figures", "task"):
            raise AttributeError(name)
        if name in self.figures:
            return self.figures[name]
        raise AttributeError(
            f"a {self.task} evaluation has no {name!r}: it has {', '.join(self.figures)}"
        )

    def __repr__(self) -> str:
        values = ", ".join(
            f"{name}={'None' if v is None else format(v, '.4g')}"
            for name, v in self.figures.items()
        )
        return f"{type(self).__name__}(examples={len(self)}, {values})"

    def __str__(self) -> str:
        return show.as_text(self.tables(), self.remarks)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from map(show.rich_table, self.tables())
        yield from map(show.rich_remark, self.remarks)

    def _repr_html_(self) -> str:
        return show.as_html(self.tables(), self.remarks)
