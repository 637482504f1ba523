"""An evaluation as the files of a run keep it: its figures, without the answers that they are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kft.arguments import is_whole
from kft.errors import InputError
from kft.tasks.evaluation.base import Evaluation
from kft.tasks.evaluation.figures import Figure, Figures

FIGURES, EVALUATED = "figures", "evaluated"  # the entries of a journal


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class KeptEvaluation(Evaluation):
    """The figures of an evaluation whose answers are no longer known; the page of the run shows the rest.

    Args:
        kept: The figures.
    """

    kept: Figures

    @property
    def figures(self) -> Figures:
        """Name and value of each figure, as they were when the run ended."""
        return self.kept

    @classmethod
    def read(cls, journal: Mapping[str, Any]) -> KeptEvaluation | None:
        """Read the evaluation of a finished run.

        Args:
            journal: The journal of the run, in which anything may have been changed.

        Returns:
            The evaluation; None if the run was not evaluated, or its figures cannot be read.
        """
        noted, figures = journal.get(EVALUATED), journal.get(FIGURES)
        if not isinstance(noted, dict) or not isinstance(figures, dict) or not figures:
            return None
        task, count = noted.get("task"), noted.get("examples")
        if not isinstance(task, str) or not isinstance(count, int) or not is_whole(count, 0):
            return None
        try:
            kept = Figures(_figure(name, values) for name, values in figures.items())
        except (InputError, LookupError, OverflowError, TypeError, ValueError):
            return None
        return cls(task=task, examples=range(count), kept=kept)


def entries_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return the entries of a journal from which the evaluation can be read again.

    Args:
        evaluation: The evaluation.
    """
    figures = {
        one.name: {
            "value": one.value,
            "interval": None if one.interval is None else list(one.interval),
            "better": one.better,
            "label": one.label,
            "meaning": one.meaning,
            "is_fraction": one.is_fraction,
        }
        for one in evaluation.figures.described
    }
    return {FIGURES: figures, EVALUATED: {"task": evaluation.task, "examples": len(evaluation)}}


def _figure(name: str, values: Any) -> Figure:
    """Return a figure of a journal.

    Raises:
        TypeError: It is not one.
        ValueError: A number is not one.
        LookupError: A part of it is missing.
        OverflowError: A number is too large.
        InputError: Its name or its direction is not one.
    """
    low_and_high = values["interval"]
    return Figure(
        name,
        None if values["value"] is None else float(values["value"]),
        interval=None if low_and_high is None else (float(low_and_high[0]), float(low_and_high[1])),
        label=str(values["label"]),
        meaning=str(values["meaning"]),
        better=values["better"],
        is_fraction=values["is_fraction"] is True,
    )
