"""Boxes from a folder of images with a COCO file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kft.arguments import is_number, is_whole, shown
from kft.data.bad import BadExamples
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.tasks.boxes.found import FoundBoxes
from kft.tasks.coco import open_coco

__all__ = ["read_coco"]


def read_coco(root: Path, path: Path, images: Path, bad: BadExamples) -> ReadFile:
    """Return the images of a COCO file, each with its boxes; crowds are ignored boxes.

    The classes are the categories in the order of their ids.

    Args:
        root: The folder.
        path: The COCO file in it.
        images: The folder that image names are relative to.
        bad: Collects the annotations that belong to no image.

    Raises:
        InputError: If the file is not a COCO file.
    """
    file = open_coco(root, path, images, bad)
    names = dict(file.categories)
    reasons, labels = dict(file.reasons), []
    for place, (in_image, size) in enumerate(zip(file.annotations, file.sizes, strict=True)):
        boxes: list[list[float]] = []
        kinds: list[str | int] = []
        ignored = set()
        for name, one in in_image:
            try:
                box, kind = _box(one, names)
            except InputError as error:
                reasons.setdefault(place, f"{name}: {error}")
                continue
            if one.get("iscrowd"):
                ignored.add(len(boxes))
            boxes.append(box)
            kinds.append(kind)
        array = np.array(boxes, np.float64).reshape(-1, 4)
        labels.append(FoundBoxes(array, tuple(kinds), frozenset(ignored), size))
    return ReadFile(file.inputs, labels, file.names, reasons, tuple(names.values()))


def _box(one: Mapping[str, Any], names: Mapping[int, str]) -> tuple[list[float], str]:
    """Return left, top, right and bottom of an annotation, and its class."""
    category: Any = one.get("category_id")
    if not is_whole(category) or category not in names:
        raise InputError(f"no category has the id {shown(category)}")
    box: Any = one.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(
            f"its bbox is {shown(box)}, but four finite numbers are expected: left, top, width and height"
        )
    left, top, width, height = map(float, box)
    return [left, top, left + width, top + height], names[category]
