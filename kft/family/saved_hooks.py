"""How a recipe becomes plain values and is built again from them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Self

from kft.model.lora import LoRA
from kft.tasks.saved import described


class SavedHooks:
    """The hooks by which recipes are saved; `kft.family.hooks.Family` has the others."""

    task: Any

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values.

        Without the precision: a recipe that is loaded elsewhere computes with what suits that place.
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
        """Build the recipe again for weights that are about to be loaded.

        Args:
            arguments: What `arguments()` returned when it was saved.
            directory: The directory that it was saved to.
        """
        return cls(**arguments)

    def pretrained(self) -> Self:
        """Return a recipe with the same arguments and its pretrained weights, to compare with.

        Raises:
            InputError: If the weights are gone, or would be fetched because a file says so.
        """
        return type(self)(**{**self.arguments(), "task": self.task})

    def save_files(self, directory: Path) -> None:
        """Write what else `rebuild` and `restore_files` need into the directory."""

    def restore_files(self, directory: Path) -> None:
        """Take over what `save_files` wrote, once the recipe is built."""


def _plain(value):
    if isinstance(value, LoRA):
        return value.to_dict()
    if isinstance(value, os.PathLike):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
