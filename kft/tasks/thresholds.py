"""Thresholds of a task that a fit finds on its validation data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self


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
