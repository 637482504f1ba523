"""Answers of several tasks on one backbone, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from kft.errors import InputError
from kft.tasks.predictions.base import Predictions


@dataclass(frozen=True, eq=False, repr=False)
class SeveralPredictions(Predictions):
    """The answers of several tasks; columns have the name of the task first: `kind_label`.

    An answer, `predictions[0]`, is a dict from the names of the tasks to their answers.

    Args:
        inputs: What to call each input in the table.
        tasks: Name of each task to its answers for the same inputs.
    """

    tasks: Mapping[str, Predictions]

    @property
    def class_count(self) -> int:
        """How many classes `top` can show: those of the task with the fewest."""
        return min((one.class_count for one in self.tasks.values() if one.class_count), default=0)

    def top(self, k: int) -> Self:
        """Return the same answers; tasks with classes show the `k` most probable ones.

        Args:
            k: How many classes, from 1 to all of them.

        Raises:
            InputError: If no task has classes, or one of them has not so many.
        """
        if not self.class_count:
            raise InputError(f"`top({k!r})`: none of {', '.join(self.tasks)} has classes.")
        shown = {n: one.top(k) if one.class_count else one for n, one in self.tasks.items()}
        return replace(self, tasks=shown)

    def with_inputs(self, values: Sequence[Any]) -> Self:
        """Return the same answers, those of each task for raw inputs."""
        tasks = {name: one.with_inputs(values) for name, one in self.tasks.items()}
        return replace(self, tasks=tasks)

    def columns(self) -> dict[str, list[Any]]:
        """Return `input`, and the columns of each task: `kind_label`, `age_value`."""
        return self._side_by_side({name: one.columns() for name, one in self.tasks.items()})

    def to_dict(self) -> dict[str, list]:
        """Return columns ready for JSON, those of each task with its name first."""
        return self._side_by_side({name: one.to_dict() for name, one in self.tasks.items()})

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the table that prints: the cells of each task side by side."""
        head, rows = ["input"], [[self.shown("input", name)] for name in self.inputs]
        for task, one in self.tasks.items():
            names, cells = one.cells()
            head += [f"{task}_{name}" for name in names[1:]]
            for row, more in zip(rows, cells, strict=True):
                row += more[1:]
        return head, rows

    def _at(self, index: int) -> dict[str, Any]:
        return {name: one[index] for name, one in self.tasks.items()}

    def _side_by_side(self, columns: Mapping[str, Mapping[str, list]]) -> dict[str, list]:
        return {"input": list(self.inputs)} | {
            f"{task}_{name}": values
            for task, own in columns.items()
            for name, values in own.items()
            if name != "input"
        }
