"""COCO annotation files next to a folder of images, as annotation tools export them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kft.arguments import is_whole, shown
from kft.data.bad import BadExamples
from kft.data.files import shown as shown_path
from kft.data.image_files import MAX_PIXELS
from kft.errors import InputError
from kft.regular_files import lies_in, read_regular, why

__all__ = ["CocoFile", "coco_file", "open_coco"]

_FOLDERS = ("", "annotations")  # folders below the root that may hold the file
_MOST_BYTES = 2**30


@dataclass(frozen=True)
class CocoFile:
    """The content of a COCO file; images are in the order of the file.

    Args:
        source: The path of the file, relative to the folder.
        categories: Id and name of each category, in the order of the ids.
        names: The name of each image in the file.
        inputs: The path of each image.
        sizes: Height and width of each image.
        annotations: The annotations of each image, each with its name for messages.
        reasons: Why an image cannot be used, by its index.
    """

    source: str
    categories: tuple[tuple[int, str], ...]
    names: list[str]
    inputs: list[str]
    sizes: list[tuple[int, int]]
    annotations: list[list[tuple[str, Mapping[str, Any]]]]
    reasons: dict[int, str]


def coco_file(root: Path) -> Path | None:
    """Return the only JSON file in a folder or in its `annotations`; None if there is none.

    Raises:
        InputError: If there are several.
    """
    found = sorted(path for name in _FOLDERS for path in (root / name).glob("*.json"))
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(root)) for path in found[:5])
        raise InputError(
            f"folder {shown_path(root)} has the JSON files {names}: leave the one with the annotations of "
            "these images"
        )
    return found[0] if found else None


def open_coco(root: Path, path: Path, images: Path, bad: BadExamples) -> CocoFile:
    """Read a COCO file and find its images.

    Args:
        root: The folder.
        path: The COCO file in it.
        images: The folder that image names are relative to.
        bad: Collects the annotations that belong to no image.

    Raises:
        InputError: If the file is not a COCO file.
    """
    source = str(path.relative_to(root))
    content = _content(path, root, source)
    categories = _categories(content, source)
    entries = list(_entries(content, "images", source))
    places: dict[int, int] = {}
    for place, entry in enumerate(entries):
        if places.setdefault(_key(entry, source, "image"), place) != place:
            raise InputError(f"{source} has two images with the id {entry['id']}: renumber them")
    reasons: dict[int, str] = {}
    sizes = [_size_of(entry, place, reasons) for place, entry in enumerate(entries)]
    found: list[list[tuple[str, Mapping[str, Any]]]] = [[] for _ in entries]
    for number, one in enumerate(_entries(content, "annotations", source), 1):
        name, image = f"annotation {shown(one.get('id', number))}", one.get("image_id")
        if not is_whole(image) or image not in places:
            bad.add(f"{name} of {source}", f"no image has the id {shown(image)}")
            continue
        found[places[image]].append((f"{name} of {source}", one))
    names = [str(entry.get("file_name")) for entry in entries]
    folders = _folders(root, images, path)
    inputs = [str(_image(name, place, root, folders, reasons)) for place, name in enumerate(names)]
    return CocoFile(source, categories, names, inputs, sizes, found, reasons)


def _content(path: Path, root: Path, source: str) -> Mapping[str, Any]:
    if not lies_in(path, root):
        raise InputError(
            f"{source} is a link that leads out of the folder: put a copy of the file there"
        )
    try:
        content = json.loads(read_regular(path, _MOST_BYTES))
    except OSError as error:
        raise InputError(f"{source}: {why(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not a JSON file ({error})") from error
    if not isinstance(content, Mapping):
        raise InputError(
            f"{source} holds {shown(content)}, but a COCO file has "
            '{"images": [...], "annotations": [...], "categories": [...]}'
        )
    return content


def _entries(content: Mapping[str, Any], name: str, source: str) -> Iterator[Mapping[str, Any]]:
    found = content.get(name)
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise InputError(
            f"{source} has no list {name!r} of objects, which a COCO annotation file needs: export it again"
        )
    yield from found


def _categories(content: Mapping[str, Any], source: str) -> tuple[tuple[int, str], ...]:
    """Return the id and name of each category in the file, in the order of the ids."""
    found: dict[int, str] = {}
    for one in _entries(content, "categories", source):
        key, name = _key(one, source, "category"), one.get("name")
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{source} calls category {shown(key)} {shown(name)}: give it a name")
        if key in found or name in found.values():
            raise InputError(f"{source} has category {shown(key)}, {shown(name)}, twice: leave one")
        found[key] = name
    return tuple(sorted(found.items()))


def _key(entry: Mapping[str, Any], source: str, what: str) -> int:
    key: Any = entry.get("id")
    if not is_whole(key):
        raise InputError(
            f"{source} has a {what} whose id is {shown(key)}: a whole number is expected"
        )
    return int(key)


def _size_of(entry: Mapping[str, Any], place: int, reasons: dict[int, str]) -> tuple[int, int]:
    height: Any = entry.get("height")
    width: Any = entry.get("width")
    if not is_whole(height, 1) or not is_whole(width, 1) or height * width > MAX_PIXELS:
        reasons[place] = (
            f"its height and width are {shown(height)} and {shown(width)}: whole numbers of at most "
            f"{MAX_PIXELS:,} pixels together are expected"
        )
        return 0, 0
    return int(height), int(width)


def _folders(root: Path, images: Path, path: Path) -> tuple[Path, ...]:
    """Return the folders that names of images may be relative to.

    For `instances_train.json` these include `images/train` and `train`, as CVAT and COCO itself have them.
    """
    part = path.stem.partition("_")[2]
    return (images, root, *((images / part, root / part) if part else ()))


def _image(
    name: str, place: int, root: Path, folders: tuple[Path, ...], reasons: dict[int, str]
) -> Path:
    """Return the file of an image, whose name is relative to one of the folders."""
    for folder in folders:
        path = folder / name
        if "\0" not in name and os.path.isfile(path):
            if not lies_in(path, root):
                reasons.setdefault(place, "it lies outside of the folder")
            return path
    reasons.setdefault(place, f"there is no such file in {shown_path(folders[0])}")
    return folders[0] / name
