"""Predictions of several tasks on one backbone, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from kft.errors import InputError
from kft.tasks.predictions.base import Predictions


@dataclass(frozen=True, eq=False, repr=False)
class SeveralPredictions(Predictions):
    """The answers of several tasks; names of columns begin with the task's: `kind_label`.

    An answer, `predictions[0]`, is a dict of the answers by the names of the tasks.

    Args:
        inputs: The name of each input in the table.
        tasks: The answers of each task for the same inputs, by its name.
    """

    tasks: Mapping[str, Predictions]

    @property
    def class_count(self) -> int:
        """The number of classes that `top` can show, that of the task with the fewest."""
        return min((one.class_count for one in self.tasks.values() if one.class_count), default=0)

    def top(self, k: int) -> Self:
        """Return the same answers; tasks with classes show the `k` most probable ones.

        Args:
            k: The number of classes, from 1 to all of them.

        Raises:
            InputError: If no task has classes, or one has fewer.
        """
        if not self.class_count:
            raise InputError(f"`top({k!r})`: none of {', '.join(self.tasks)} has classes.")
        shown = {n: one.top(k) if one.class_count else one for n, one in self.tasks.items()}
        return replace(self, tasks=shown)

    def with_inputs(self, values: Sequence[Any]) -> Self:
        """Return the same answers, each task's with access to the raw inputs."""
        tasks = {name: one.with_inputs(values) for name, one in self.tasks.items()}
        return replace(self, tasks=tasks)

    def columns(self) -> dict[str, list[Any]]:
        """Return `input`, and the columns of each task: `kind_label`, `age_value`."""
        return self._side_by_side({name: one.columns() for name, one in self.tasks.items()})

    def to_dict(self) -> dict[str, list]:
        """Return columns ready for JSON, with names that begin with the task's."""
        return self._side_by_side({name: one.to_dict() for name, one in self.tasks.items()})

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the printed table: the cells of each task side by side."""
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
