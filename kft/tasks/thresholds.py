"""Thresholds of a task that a fit finds on its validation data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self


class Thresholds:
    """The hooks of a task whose answers depend on a threshold; by default there is none.

    A threshold that was found belongs to a trained model, not to the arguments of its task: a saved recipe
    stores it separately, and the next fit finds another one.
    """

    @property
    def finds_thresholds(self) -> bool:
        """Whether a fit has to find a threshold, since the arguments do not set it."""
        return False

    def thresholds(self, evaluation: Any) -> dict[str, Any]:
        """Return the best thresholds for an evaluation on validation data, as JSON values.

        Args:
            evaluation: The result of the task's scorer.

        Returns:
            What `with_thresholds` takes; empty if the data determine none.
        """
        return {}

    def with_thresholds(self, found: Mapping[str, Any]) -> Self:
        """Return the task with thresholds that a fit found.

        Args:
            found: What `thresholds` returned; empty for the task before a fit.

        Raises:
            InputError: If `thresholds` cannot have returned it.
        """
        return self


class FoundThreshold(Thresholds):
    """The hooks of a task with one threshold: `threshold` if it was passed, else the one that a fit found.

    Attributes:
        threshold: The argument; None to let each fit find it.
        found_threshold: What a fit found; an argument that the recipe sets.
        usual_threshold: The threshold before a fit.
    """

    threshold: float | None
    found_threshold: float | None
    usual_threshold: ClassVar[float]

    @property
    def known_threshold(self) -> float:
        """The threshold of the answers."""
        known = (self.threshold, self.found_threshold)
        return next((one for one in known if one is not None), self.usual_threshold)

    @property
    def finds_thresholds(self) -> bool:
        """Whether no threshold was passed."""
        return self.threshold is None

    def thresholds(self, evaluation: Any) -> dict[str, float]:
        """Return the evaluation's `safe_threshold`, if it has one."""
        safe = evaluation.safe_threshold
        return {} if safe is None else {"threshold": safe}

    def with_thresholds(self, found: Mapping[str, Any]) -> Self:
        """Return the task with the threshold that a fit found."""
        changed: Any = replace(self, found_threshold=found.get("threshold"))  # type: ignore[type-var]
        return changed
