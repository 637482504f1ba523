"""Files that only one kind of labels knows, such as CoNLL files of tagged words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kft.data.examples import Examples
from kft.data.files import shown
from kft.data.raw_labels import RawLabels
from kft.data.read_settings import ReadSettings
from kft.data.source_hooks import ReadFile
from kft.data.usable import usable_examples
from kft.data.values import text_value

__all__ = ["read_own_file"]


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
    bad = how.bad_examples(source)
    found = reader(path, how.encoding)
    reasons = dict(found.reasons)
    for index, value in enumerate(found.inputs):
        reason = text_value(value, how.encoding)[1]
        if reason:
            reasons.setdefault(index, reason)
    raw = RawLabels(found.labels, found.names, source, inputs=found.inputs, encoding=how.encoding)
    targets = how.task.targets(raw, how.classes)
    return usable_examples(
        "texts",
        found.inputs,
        targets,
        task=how.task,
        bad=bad,
        names=found.names,
        reasons=reasons,
        by=how.by.values(found.names, source),
        nothing=f"has no usable example: {_first({**targets.reasons, **reasons})}",
    )


def _first(reasons: dict[int, str]) -> str:
    return f"the first is bad: {reasons[min(reasons)]}" if reasons else "it is empty"
