"""Masks from a folder of images with a COCO file of polygons or run-length encodings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kft.arguments import is_whole, shown
from kft.data.bad import BadExamples
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.tasks.coco import open_coco
from kft.tasks.masks.files import check_size
from kft.tasks.masks.regions import Polygon, Runs, region_of
from kft.tasks.masks.stored import StoredMask

__all__ = ["read_coco"]

BACKGROUND = "background"


@dataclass(frozen=True)
class CocoMask(StoredMask):
    """The annotations of an image, painted over each other in order.

    Args:
        path: The image.
        size: Its height and width.
        regions: The class number and region of each painted part.
    """

    size: tuple[int, int] = (0, 0)
    regions: tuple[tuple[int, Polygon | Runs], ...] = ()

    def of_size(self, size: tuple[int, int] | None) -> np.ndarray:
        """Return the class numbers, 0 outside of all regions."""
        check_size(self.size, size)
        mask = np.zeros(self.size, np.uint8)
        for number, region in self.regions:
            region.paint(mask, number)
        return mask


def read_coco(root: Path, path: Path, images: Path, bad: BadExamples) -> ReadFile:
    """Return the images of a COCO file, each with its mask.

    The classes are `background`, for pixels without an annotation, followed by the categories in the
    order of their ids; a category named `background` is merged with the first class.

    Args:
        root: The folder.
        path: The COCO file in it.
        images: The folder that image names are relative to.
        bad: Collects the annotations that belong to no image.

    Raises:
        InputError: If the file is not a COCO file.
    """
    file = open_coco(root, path, images, bad)
    own: list[tuple[Any, str]] = [one for one in file.categories if one[1] == BACKGROUND]
    others = [one for one in file.categories if one[1] != BACKGROUND]
    classes: list[tuple[Any, str]] = [*(own or [(None, BACKGROUND)]), *others]
    numbers = {key: place for place, (key, _) in enumerate(classes) if key is not None}
    reasons, labels = dict(file.reasons), []
    for place, (image, size) in enumerate(zip(file.inputs, file.sizes, strict=True)):
        regions: list[tuple[int, Polygon | Runs]] = []
        for name, one in file.annotations[place] if place not in reasons else ():
            try:
                regions += _painted(one, numbers, size)
            except InputError as error:
                reasons[place] = f"{name}: {error}"
        labels.append(CocoMask(image, size=size, regions=tuple(regions)))
    return ReadFile(file.inputs, labels, file.names, reasons, tuple(name for _, name in classes))


def _painted(
    one: Mapping[str, Any], numbers: Mapping[int, int], size: tuple[int, int]
) -> list[tuple[int, Polygon | Runs]]:
    """Return the class number and region of each part of an annotation."""
    category: Any = one.get("category_id")
    if not is_whole(category) or category not in numbers:
        raise InputError(f"no category has the id {shown(category)}")
    return [(numbers[category], part) for part in region_of(one.get("segmentation"), size)]
