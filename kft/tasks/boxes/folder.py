"""Folders of images with boxes in Pascal VOC, COCO or YOLO format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from kft.data.bad import BadExamples
from kft.data.files import shown
from kft.data.image_files import IMAGE_SUFFIXES
from kft.data.names import checked_names
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.regular_files import lies_in
from kft.tasks.boxes.coco import read_coco
from kft.tasks.boxes.found import FoundBoxes
from kft.tasks.boxes.voc import read_voc
from kft.tasks.boxes.yolo import DESCRIPTIONS, read_yolo, yolo_classes
from kft.tasks.class_file import CLASSES, class_lines
from kft.tasks.coco import coco_file
from kft.tasks.stems import by_stem

__all__ = ["read_box_folder"]

IMAGES = ("images", "JPEGImages")
VOC, YOLO = ("Annotations", "annotations"), "labels"
DARKNET, NAMES = "obj_train_data", "obj.names"  # images and boxes of CVAT's YOLO 1.1


def read_box_folder(root: Path, bad: BadExamples) -> ReadFile:
    """Return the images of a folder, each with its boxes.

    Args:
        root: The folder. Images are in `images` or `JPEGImages`; boxes are in `Annotations` (an XML file
            named like each image), in `labels` (a text file for each image with boxes, and
            `classes.txt` or `data.yaml`), or in one COCO file; or both are in `obj_train_data`, with
            `obj.names`.
        bad: Collects files that cannot be used.

    Raises:
        InputError: If the folder has another layout.
    """
    images = next((root / name for name in IMAGES if (root / name).is_dir()), root)
    boxes = next((root / name for name in (YOLO, DARKNET) if (root / name).is_dir()), None)
    if boxes is not None:
        names = _classes(root, NAMES if boxes.name == DARKNET else CLASSES) or yolo_classes(root)
        if names is None:
            raise InputError(
                f"{bad.source} has {boxes.name}/ but neither {CLASSES} nor {' or '.join(DESCRIPTIONS)} with names: "
                f"write the names of the classes into {CLASSES}, one in each line, in the order of their "
                "numbers"
            )
        images = boxes if boxes.name == DARKNET else images
        return _read(root, images, boxes, ".txt", read_yolo, names, bad)
    annotations = coco_file(root)
    if annotations is not None:
        return read_coco(root, annotations, images, bad)
    folder = next((root / name for name in VOC if (root / name).is_dir()), None)
    if folder is None or images == root:
        raise InputError(
            f"{bad.source} is not a folder of boxes: expected JPEGImages/ with Annotations/ of XML files "
            f"(Pascal VOC), images/ with {YOLO}/ of text files and {CLASSES} (YOLO), or images/ with a "
            "JSON file (COCO)"
        )
    return _read(root, images, folder, ".xml", read_voc, _classes(root), bad)


def _read(
    root: Path,
    images: Path,
    boxes: Path,
    suffix: str,
    reader: Callable[[Path], FoundBoxes],
    names: tuple[str, ...] | None,
    bad: BadExamples,
) -> ReadFile:
    """Return the images of one folder with the boxes in the files of the same stem in another."""
    for folder in (images, boxes):
        if not lies_in(folder, root):
            raise InputError(
                f"{bad.source}: {folder.name!r} is a link that leads out of the folder: put a copy of the "
                "files there"
            )
    together = {suffix, *IMAGE_SUFFIXES} if images == boxes else set()
    files = by_stem(boxes, root, bad, {suffix}, together)
    found = by_stem(images, root, bad, IMAGE_SUFFIXES, together)
    for stem in sorted(files.keys() - found.keys()):
        where = str(files[stem].relative_to(root))
        bad.add(where, f"boxes without an image {images.name}/{stem}.*")
    labels: list[FoundBoxes | None] = []
    reasons: dict[int, str] = {}
    for place, stem in enumerate(found):
        label = None
        try:
            if stem in files:
                label = reader(files[stem])
            elif suffix == ".xml":
                raise InputError(f"no boxes: {boxes.name}/{stem}{suffix} is missing")
            else:  # in YOLO format, an image without a file has no boxes
                label = FoundBoxes(np.zeros((0, 4)), ())
        except InputError as error:
            reasons[place] = str(error)
        labels.append(label)
    inputs = [str(path) for path in found.values()]
    where_all = [str(path.relative_to(root)) for path in found.values()]
    return ReadFile(inputs, labels, where_all, reasons, names)


def _classes(root: Path, name: str = CLASSES) -> tuple[str, ...] | None:
    """Return the names in `classes.txt` or another file; None if there is no file."""
    lines = class_lines(root, name)
    return None if lines is None else checked_names(lines, shown(root / name))
