"""The hooks that convert a recipe to plain values and build it again from them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Self

from kft.model.lora import LoRA
from kft.tasks.saved import described


class SavedHooks:
    """The hooks for saving recipes; the others are in `kft.family.hooks.Family`."""

    task: Any
    thresholds: dict[str, Any]

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values.

        The precision is left out: a recipe loaded elsewhere uses the precision that suits that place.
        """
        own: Any = self
        kept = {
            each.name: _plain(getattr(self, each.name))
            for each in dataclasses.fields(own)
            if each.init and each.name not in ("classes", "precision")
        }
        return {**kept, "task": described(self.task)}

    @classmethod
    def rebuild(cls, arguments: dict[str, Any], directory: Path) -> Self:
        """Build the recipe again, so that weights can be loaded into it.

        Args:
            arguments: The result of `arguments()` when the recipe was saved.
            directory: The directory that it was saved to.
        """
        return cls(**arguments)

    def pretrained(self) -> Self:
        """Return a recipe with the same arguments and its pretrained weights, for comparison.

        Raises:
            InputError: If the weights are gone, or a file would make kft download them.
        """
        return type(self)(**{**self.arguments(), "task": self.task})

    def use_thresholds(self, found: dict[str, Any]) -> None:
        """Answer with the thresholds that a fit found.

        Args:
            found: What the task's `thresholds` returned; empty for those before a fit.
        """
        self.task = self.task.with_thresholds(found)
        self.thresholds = found

    def save_files(self, directory: Path) -> None:
        """Write other files that `rebuild` and `restore_files` need into the directory."""

    def restore_files(self, directory: Path) -> None:
        """Restore what `save_files` wrote, after the recipe has been built."""


def _plain(value):
    if isinstance(value, LoRA):
        return value.to_dict()
    if isinstance(value, os.PathLike):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
