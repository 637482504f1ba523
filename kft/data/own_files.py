"""Files that only one kind of labels knows, such as CoNLL files of tagged words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kft.data.bad import BadExamples
from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.folder_walk import files_below
from kft.data.raw_labels import RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.source_hooks import ReadFile
from kft.data.usable import usable_examples
from kft.data.values import text_value
from kft.errors import InputError

__all__ = ["read_own_file", "read_own_folder"]


def read_own_file(
    path: Path,
    reader: Callable[[Path, str], ReadFile],
    how: ReadSettings,
) -> Examples:
    """Read a file of texts by a reader of the task's own.

    Args:
        path: The file.
        reader: What reads it, one of `task.files`.
        how: How to read; its task, classes, encoding and what to do with bad examples count.

    Raises:
        InputError: The file cannot be read, or examples in it cannot be used.
    """
    source = shown(path.name)
    found = reader(path, how.encoding)
    bad = how.bad_examples(source)
    return _usable(found.inputs, found.labels, found.names, found.reasons, bad, how)


def read_own_folder(folder: Path, how: ReadSettings) -> Examples:
    """Read all files in a folder, and below it, that the task has a reader for.

    Args:
        folder: The folder.
        how: As for `read_own_file`.

    Raises:
        InputError: There is no such file, one cannot be read, or examples cannot be used.
    """
    root = folder.resolve()
    source = f"folder {shown(folder)}"
    bad = how.bad_examples(source)
    readers = how.task.files
    inputs: list[Any] = []
    labels: list[Any] = []
    names: list[str] = []
    reasons: dict[int, str] = {}
    for path in files_below(root, root, bad):
        reader = readers.get(path.suffix.lower())
        place = str(path.relative_to(root))
        if reader is None:
            bad.add(place, f"expected a file that ends in {', '.join(readers)}")
            continue
        found = reader(path, how.encoding)
        reasons |= {len(inputs) + index: reason for index, reason in found.reasons.items()}
        inputs += found.inputs
        labels += found.labels
        several = len(found.inputs) > 1
        names += [f"{name} of {place}" if several else place for name in found.names]
    if not inputs:
        bad.settle()
        raise InputError(f"{source} has no file that ends in {', '.join(readers)}: add some.")
    return _usable(inputs, labels, names, reasons, bad, how)


def _usable(
    inputs: list[Any],
    labels: list[Any],
    names: Sequence[str],
    known: dict[int, str],
    bad: BadExamples,
    how: ReadSettings,
) -> Examples:
    """The texts of files that can be used, with their labels."""
    reasons = dict(known)
    for index, value in enumerate(inputs):
        reason = text_value(value, how.encoding)[1]
        if reason:
            reasons.setdefault(index, reason)
    raw = RawLabels(labels, names, bad.source, inputs=inputs, encoding=how.encoding)
    targets = how.task.targets(raw, how.classes)
    return usable_examples(
        "texts",
        inputs,
        targets,
        task=how.task,
        bad=bad,
        names=names,
        reasons=reasons,
        nothing=f"has no usable example: {_first({**targets.reasons, **reasons})}",
    )


def _first(reasons: dict[int, str]) -> str:
    return f"the first is bad: {reasons[min(reasons)]}" if reasons else "it is empty"
