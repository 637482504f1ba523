"""Folders with `images` and `masks`, paired by name, and their classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kft.data.bad import BadExamples
from kft.data.files import shown
from kft.data.image_files import IMAGE_SUFFIXES
from kft.data.names import checked_names
from kft.data.source_hooks import ReadFile
from kft.errors import InputError
from kft.regular_files import lies_in
from kft.tasks.class_file import CLASSES, class_lines
from kft.tasks.coco import coco_file
from kft.tasks.masks.coco import read_coco
from kft.tasks.masks.colours import check_colours
from kft.tasks.masks.files import Ignored, MaskFile
from kft.tasks.stems import by_stem

__all__ = ["read_mask_folder"]

IMAGES, MASKS = "images", "masks"
VOC = ("JPEGImages", "SegmentationClass")
LABELS = "labelmap.txt"  # of CVAT: `road:128,64,128::`, and comments that begin with #


def read_mask_folder(
    root: Path,
    bad: BadExamples,
    colors: Mapping[str, tuple[int, int, int]] | None,
    ignored: Ignored,
) -> ReadFile:
    """Return the images of a folder, each with its mask.

    Args:
        root: The folder. Its `images` and `masks` hold files with the same paths except for the suffix;
            `classes.txt` may name the classes, one per line, each followed by a colour or none. In Pascal
            VOC's form the folders are `JPEGImages`, of which those without a mask are left out, and
            `SegmentationClass`, and `labelmap.txt` may name the classes and their colours. A COCO file can
            replace `masks`.
        bad: Collects files that cannot be used.
        colors: The colour of each class; None for those of `classes.txt`, if it has any.
        ignored: As for `MaskFile`.

    Raises:
        InputError: If one of the two folders is missing, or `classes.txt` is invalid.
    """
    is_voc = not (root / MASKS).is_dir() and all((root / name).is_dir() for name in VOC)
    below, above = VOC if is_voc else (IMAGES, MASKS)
    annotations = None if (root / above).is_dir() else coco_file(root)
    if annotations is not None:
        folder = root / IMAGES
        return read_coco(root, annotations, folder if folder.is_dir() else root, bad)
    for name in (below, above):
        if not (root / name).is_dir():
            raise InputError(
                f"{bad.source} has no folder {name!r}: expected {IMAGES}/ and {MASKS}/ with a PNG mask "
                f"for each image, such as {IMAGES}/one.jpg and {MASKS}/one.png, or a COCO file beside "
                f"{IMAGES}/"
            )
        if not lies_in(root / name, root):
            raise InputError(
                f"{bad.source}: {name!r} is a link that leads out of the folder: put a copy of the files there"
            )
    listed = CLASSES if not is_voc or (root / CLASSES).is_file() else LABELS
    names, found = _classes(root, listed)
    if colors is None and found is not None:
        check_colours(found, ignored, shown(root / listed))
        colors = found
    masks = by_stem(root / above, root, bad, {".png"})
    images = by_stem(root / below, root, bad, IMAGE_SUFFIXES)
    for stem in sorted(masks.keys() - images.keys()):
        bad.add(f"{above}/{masks[stem].name}", f"a mask without an image {below}/{stem}.*")
    inputs: list[str] = []
    labels: list[MaskFile | None] = []
    reasons: dict[int, str] = {}
    if is_voc:  # whose images without a mask are for other tasks
        images = {stem: image for stem, image in images.items() if stem in masks}
    for place, (stem, image) in enumerate(images.items()):
        inputs.append(str(image))
        if stem in masks:
            labels.append(MaskFile(str(masks[stem]), colors, ignored))
        else:
            labels.append(None)
            reasons[place] = f"no mask: {above}/{stem}.png is missing"
    where = [str(Path(one).relative_to(root)) for one in inputs]
    return ReadFile(inputs, labels, where, reasons, names)


def _classes(
    root: Path, listed: str
) -> tuple[tuple[str, ...] | None, dict[str, tuple[int, int, int]] | None]:
    """Return the names and the colours in the list of the classes, each None if it has none."""
    lines = class_lines(root, listed)
    if lines is None:
        return None, None
    path = root / listed
    if listed == LABELS:
        fields = [line.split(":") for line in lines if not line.startswith("#")]
        lines = [" ".join(one[:2]) for one in fields]
    rows = [_split(line) for line in lines]
    names = checked_names([name for name, _ in rows], shown(path))
    colors = {name: color for name, (_, color) in zip(names, rows, strict=True) if color}
    if not colors:
        return names or None, None
    if len(colors) < len(names) or any(part > 255 for color in colors.values() for part in color):
        raise InputError(
            f"{shown(path)}: expected a colour from 0 to 255 behind each name or behind none, such as "
            "road 128 64 128"
        )
    return names, colors


def _split(line: str) -> tuple[str, tuple[int, int, int] | None]:
    """Split a line into a name and the colour that follows it, if there is one."""
    parts = line.replace(",", " ").split()
    numbers = [int(part) for part in parts[-3:] if re.fullmatch("[0-9]{1,3}", part)]
    if len(parts) < 4 or len(numbers) < 3:
        return line.strip(), None
    return " ".join(parts[:-3]), (numbers[0], numbers[1], numbers[2])
