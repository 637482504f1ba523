"""Reading files and folders in formats of a single task, such as CoNLL files of tagged words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.folder_walk import files_below
from kft.data.images import check_images
from kft.data.raw_labels import RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.source_hooks import ReadFile
from kft.data.usable import usable_examples
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["read_own_file", "read_own_folder", "read_text_folder"]


def read_own_file(
    path: Path,
    reader: Callable[[Path, str], ReadFile],
    how: ReadSettings,
) -> Examples:
    """Read a file of texts with the task's own reader.

    Args:
        path: The file.
        reader: The reader, one of `task.files`.
        how: How to read; its task, classes, encoding and handling of bad examples are used.

    Raises:
        InputError: The file cannot be read, or examples in it cannot be used.
    """
    bad = how.bad_examples(shown(path.name))
    return _texts(reader(path, how.encoding), how, bad)


def read_text_folder(folder: Path, how: ReadSettings) -> Examples:
    """Read all files in and below a folder for which the task has a reader.

    Args:
        folder: The folder.
        how: As for `read_own_file`.

    Raises:
        InputError: There is no such file, one cannot be read, or examples cannot be used.
    """
    root = folder.resolve()
    bad = how.bad_examples(f"folder {shown(folder)}")
    readers = how.task.files
    names: list[str] = []
    every = ReadFile([], [], names, {})
    for path in files_below(root, root, bad):
        reader = readers.get(path.suffix.lower())
        place = str(path.relative_to(root))
        if reader is None:
            bad.add(place, f"expected a file that ends in {', '.join(readers)}")
            continue
        try:
            found = reader(path, how.encoding)
        except InputError as error:
            bad.add(place, str(error).removeprefix(f"{shown(path.name)}: "))
            continue
        first, several = len(every.inputs), len(found.inputs) > 1
        every.reasons.update({first + index: why for index, why in found.reasons.items()})
        every.inputs.extend(found.inputs)
        every.labels.extend(found.labels)
        names += [f"{name} of {place}" if several else place for name in found.names]
    if not every.inputs:
        bad.settle()
        raise InputError(f"{bad.source} has no file that ends in {', '.join(readers)}: add some.")
    return _texts(every, how, bad)


def read_own_folder(
    path: Path, reader: Callable[[Path, BadExamples], ReadFile], how: ReadSettings
) -> Examples:
    """Read a folder of images with the task's own reader.

    Args:
        path: The folder.
        reader: The reader, `task.folder`.
        how: How to read; its task, classes, largest image and handling of bad examples are used.

    Raises:
        InputError: The folder has another layout, or examples in it cannot be used.
    """
    bad = how.bad_examples(f"folder {shown(path)}")
    found = reader(path.resolve(), bad)
    return _examples("image_files", found, check_images(found.inputs, how.max_pixels), how, bad)


def _texts(found: ReadFile, how: ReadSettings, bad: BadExamples) -> Examples:
    reasons = {}
    for index, value in enumerate(found.inputs):
        reason = text_value(value, how.encoding)[1]
        if reason:
            reasons[index] = reason
    return _examples("texts", found, reasons, how, bad)


def _examples(
    kind: str, found: ReadFile, reasons: dict[int, str], how: ReadSettings, bad: BadExamples
) -> Examples:
    reasons = {**reasons, **found.reasons}
    raw = RawLabels(
        found.labels,
        found.names,
        bad.source,
        inputs=found.inputs,
        encoding=how.encoding,
        numbered=found.numbered,
    )
    targets = how.task.targets(raw, how.classes)
    return usable_examples(
        kind,
        found.inputs,
        targets,
        task=how.task,
        bad=bad,
        names=found.names,
        reasons=reasons,
        by=how.by.values(found.names, bad.source),
        nothing=f"has no usable example: {_first({**targets.reasons, **reasons}, found.names)}",
    )


def _first(reasons: dict[int, str], names: Sequence[str]) -> str:
    if not reasons:
        return "it is empty"
    first = min(reasons)
    return f"the first is bad, {shown(names[first])}: {reasons[first]}"
