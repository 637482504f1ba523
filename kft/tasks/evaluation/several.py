"""Evaluation of several tasks on one backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kft.errors import InputError
from kft.tasks.evaluation import plots
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.content import Mistake, Section, Table
from kft.tasks.evaluation.figures import Figures
from kft.tasks.evaluation.scorer import Scorer


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SeveralEvaluation(Evaluation):
    """The evaluations of several tasks; names of figures begin with the task's: `kind_accuracy`.

    Args:
        tasks: The evaluation of each task by its name.
    """

    task: str = "several"
    tasks: Mapping[str, Evaluation]

    @property
    def figures(self) -> Figures:
        """Name and value of each task's figures, such as `kind_accuracy`."""
        return Figures(
            dataclasses.replace(one, name=f"{name}_{one.name}", label=f"{name}: {one.label}")
            for name, evaluation in self.tasks.items()
            for one in evaluation.figures.described
        )

    @property
    def title(self) -> str:
        """What was evaluated, in one line."""
        return f"{len(self.tasks)} tasks, {self._counted}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """The remarks on each task."""
        return tuple(
            f"{name}: {remark}"
            for name, evaluation in self.tasks.items()
            for remark in evaluation.remarks
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the tables of each task."""
        return tuple(
            dataclasses.replace(table, caption=f"{name}: {table.caption}")
            for name, evaluation in self.tasks.items()
            for table in evaluation.tables()
        )

    def sections(self) -> tuple[Section, ...]:
        """Return the sections of each task."""
        return tuple(
            section.named(name)
            for name, evaluation in self.tasks.items()
            for section in evaluation.sections()
        )

    def mistakes(self, limit: int = 12) -> tuple[Mistake, ...]:
        """Return the worst predictions of the tasks in turn, since their sizes are not comparable."""
        found: list[Mistake] = []
        by_task = [
            [_named(name, one) for one in evaluation.mistakes(limit)]
            for name, evaluation in self.tasks.items()
        ]
        for rank in range(limit):
            found += [mistakes[rank] for mistakes in by_task if rank < len(mistakes)]
        return tuple(found[:limit])

    def plot(self) -> plots.Drawing:
        """Return a matplotlib figure with a bar per figure; `tasks[name].plot()` shows more."""
        return plots.bars(self.figures)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, and under `tasks` the dict of each evaluation."""
        inner = {name: evaluation.to_dict() for name, evaluation in self.tasks.items()}
        return {**super().to_dict(), "tasks": inner}


class SeveralScorer:
    """Score dicts of targets and outputs batch by batch, each task with its own scorer.

    Args:
        scorers: The scorer of each task by its name.
        task: The name of the task in the evaluation.
    """

    def __init__(self, scorers: Mapping[str, Scorer], task: str = "several") -> None:
        self._scorers, self._task = scorers, task

    def update(self, targets: Any, outputs: Any, rows: np.ndarray | None = None) -> None:
        """Add a batch of targets and outputs, dicts by the names of the tasks."""
        for what, given in (("targets", targets), ("outputs", outputs)):
            names = sorted(given) if isinstance(given, Mapping) else type(given).__name__
            if names != sorted(self._scorers):
                raise InputError(
                    f"{what} are {names}, but a dict with {', '.join(self._scorers)} is expected."
                )
        for name, scorer in self._scorers.items():
            try:
                scorer.update(targets[name], outputs[name], rows)
            except InputError as error:
                raise InputError(f"task {name!r}: {error}") from error

    def result(self) -> SeveralEvaluation:
        """Return the evaluation of all batches."""
        tasks = {name: scorer.result() for name, scorer in self._scorers.items()}
        examples = next(iter(tasks.values())).examples
        return SeveralEvaluation(task=self._task, examples=examples, tasks=tasks)


def _named(name: str, one: Mistake) -> Mistake:
    expected, predicted = f"{name}: {one.expected}", f"{name}: {one.predicted}"
    return dataclasses.replace(one, expected=expected, predicted=predicted)
