"""Pascal VOC annotations: an XML file of boxes for each image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from kft.arguments import shown
from kft.errors import InputError
from kft.regular_files import read_regular, why
from kft.tasks.boxes.found import FoundBoxes, number_in_file

__all__ = ["read_voc"]

_MOST_BYTES = 2**24
_DEEPEST = 20  # nested elements
_ROOT = "annotation"
_DIFFICULT = {"": False, "0": False, "false": False, "1": True, "true": True}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path) -> FoundBoxes:
    """Return the boxes of an XML file; `difficult` ones are ignored boxes.

    Document types, and with them entities, are refused: a few lines of entities can expand to gigabytes
    or refer to other files.

    Raises:
        InputError: If the file cannot be read or is not in this format.
    """
    try:
        root = _tree(read_regular(path, _MOST_BYTES))
    except OSError as error:
        raise InputError(f"{path.name}: {why(error)}") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(f"{path.name} is not an XML file ({error})") from error
    if root.tag != _ROOT:  # another format, whose boxes would be overlooked
        raise InputError(
            f"{path.name} has the root element {shown(root.tag)}, but {_ROOT!r} is expected"
        )
    boxes: list[list[float]] = []
    labels: list[str] = []
    ignored: set[int] = set()
    for number, one in enumerate(root.findall("object"), 1):
        name, box = (one.findtext("name") or "").strip(), one.find("bndbox")
        if not name or box is None:
            missing = "name" if not name else "bndbox"
            raise InputError(f"object {number} of {path.name} has no <{missing}>")
        if _is_difficult(one.findtext("difficult"), number, path):
            ignored.add(len(boxes))
        boxes.append([_number(box.findtext(each), each, number, path) for each in _CORNERS])
        labels.append(name)
    return FoundBoxes(
        np.array(boxes, np.float64).reshape(-1, 4), tuple(labels), frozenset(ignored), _size(root)
    )


def _tree(content: bytes) -> Any:
    """Return the root element of an XML document without a document type."""
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    depth = 0

    def refuse(*_: Any) -> None:
        raise InputError(
            "it has a document type (<!DOCTYPE ...>), which may hold entities: remove it"
        )

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise InputError(f"it has elements more than {_DEEPEST} deep in one another")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.Parse(content, True)
    return builder.close()


def _is_difficult(text: str | None, number: int, path: Path) -> bool:
    said = (text or "").strip().lower()
    if said not in _DIFFICULT:
        raise InputError(
            f"object {number} of {path.name} has <difficult> {shown(text)}: expected 0 or 1"
        )
    return _DIFFICULT[said]


def _number(text: str | None, name: str, number: int, path: Path) -> float:
    try:
        return number_in_file(text or "")
    except ValueError:
        raise InputError(
            f"object {number} of {path.name} has <{name}> {shown(text)}: a number is expected"
        ) from None


def _size(root: Any) -> tuple[int, int] | None:
    """Return height and width; None if they are missing or 0, as some tools write them."""
    try:
        height, width = (
            number_in_file(root.findtext(f"size/{each}") or "0") for each in ("height", "width")
        )
    except ValueError:
        return None
    if not (math.isfinite(height) and math.isfinite(width)) or height < 1 or width < 1:
        return None
    return int(height), int(width)
