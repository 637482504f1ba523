"""What every evaluation has, whatever its task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Attributes:
        index: Position of the example in the evaluated data.
        expected: What the data say, ready to print.
        predicted: What the model said, ready to print.
        size: How bad it is: the confidence in the wrong answer (0..1), or a regression's absolute
            error.
    """

    index: int
    expected: str
    predicted: str
    size: float


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Figures of a model on labelled examples; prints as a table, and shows as one in a notebook.

    Which figures there are depends on the task, see `SingleLabelEvaluation`,
    `MultiLabelEvaluation` and `RegressionEvaluation`. A figure that the data do
    not define is None, never 0 or NaN.

    Attributes:
        task: "single_label", "multi_label" or "regression".
        targets: What the data say, read-only.
        scores: What the model said, read-only, row by row the same examples.
        figures: Name and value of every figure that is a single number; each is an attribute, too.
    """

    task: ClassVar[str]
    targets: np.ndarray = field(kw_only=True)
    scores: np.ndarray = field(kw_only=True)

    def __post_init__(self) -> None:
        self.targets.setflags(write=False)
        self.scores.setflags(write=False)

    @property
    def figures(self) -> dict[str, float | None]:
        """Name and value of every figure that is a single number."""
        raise NotImplementedError

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """The worst predictions first, `limit` at most; equally bad ones in the data's order."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain dicts, lists, strings and numbers, without the scores."""
        return {"task": self.task, "examples": len(self), **self.figures}

    def plot(self) -> Figure:
        """A matplotlib figure: the confusion matrix, or predicted against expected values."""
        from kft import plots

        return plots.overview(self)

    def __len__(self) -> int:
        return len(self.targets)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
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
        from kft.evaluation import show

        return show.as_text(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from kft.evaluation import show

        yield from show.tables(self)

    def _repr_html_(self) -> str:
        from kft.evaluation import show

        return show.as_html(self)
