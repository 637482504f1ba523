"""Tasks with labels inside an image: their classes come from the data, their size from the recipe."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

from kft.arguments import shown
from kft.errors import InputError
from kft.tasks.task import Task


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelsInImages(Task):
    """A task that finds where things are in an image, such as masks or boxes.

    Args:
        classes: Names of the classes, in the order of their numbers. Defaults to those of the training
            data.
        image_size: Height and width of the images that the model takes. A recipe sets it.
    """

    classes: tuple[str, ...] | None = field(default=None, kw_only=False)
    image_size: tuple[int, int] | None = None

    def for_images(self, size: tuple[int, int]) -> Self:
        """Return the task for images of this size."""
        return replace(self, image_size=size)

    def for_classes(self, classes: Any) -> Self:
        """Return the task with the classes of the training data."""
        return self if classes is None else replace(self, classes=tuple(classes))

    def agreed_classes(self, classes: Any, source: str) -> tuple[str, ...] | None:
        """Return the classes of the data, which must equal those of the task."""
        if self.classes is None or classes is None:
            return self.classes if classes is None else tuple(classes)
        if tuple(classes) != self.classes:
            raise InputError(
                f"{source} has the classes {shown(tuple(classes))}, but the task has "
                f"{shown(self.classes)}: pass the same to both, or leave `classes` out."
            )
        return self.classes
