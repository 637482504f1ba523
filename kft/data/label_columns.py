"""The columns of a table, or features of a TFDS, that hold the labels of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kft.data.raw_labels import RawLabels
from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["LabelColumns", "label_columns"]

DEFAULT = "label"  # the usual column


@dataclass(frozen=True)
class LabelColumns:
    """The columns of one part of the labels.

    Args:
        part: The name of the part; empty if labels have a single part.
        kind: The kind of its targets.
        names: The columns, more than one only if the kind takes several.
    """

    part: str
    kind: TargetKind
    names: tuple[str, ...]


def label_columns(task: TargetKind, given: Any, inputs: str) -> list[LabelColumns]:
    """Return the columns of each part of a task's labels.

    Args:
        task: The task.
        given: A column, several if the kind takes them, or a dict of these by the names of the task's
            parts, for which the default "label" stands for columns named like the parts.
        inputs: The column of the inputs.

    Returns:
        The columns; none for a task without labels.

    Raises:
        InputError: A name is not that of a part, a part that takes one column is given several, or a
            column is named twice or is that of the inputs.
    """
    if not task.has_labels:
        if given != DEFAULT:
            raise InputError(
                f"label_column={given!r:.100}, but {task.name} has no labels: leave it out"
            )
        return []
    if not task.parts:
        return [_columns("", task, given, given, inputs)]
    named = {} if given == DEFAULT else given
    if not isinstance(named, Mapping) or not set(named) <= set(task.parts):
        raise InputError(
            f"label_column={given!r:.100}, but {task.name} has the labels "
            f"{', '.join(map(repr, task.parts))}: pass a dict of them to columns"
        )
    return [
        _columns(name, kind, named.get(name, name), given, inputs)
        for name, kind in task.parts.items()
    ]


def _columns(part: str, kind: TargetKind, named: Any, given: Any, inputs: str) -> LabelColumns:
    names = [named] if isinstance(named, str) else named
    is_list = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
    if not is_list or not (len(names) == 1 or (names and kind.takes_columns)):
        raise InputError(
            f"label_column={given!r:.100}, but {kind.name} has one label column: name one, or pass the task that "
            "these columns are for"
        )
    for name in names:
        if name == inputs:
            raise InputError(
                f"label_column={given!r:.100}, but column {name!r:.60} holds the inputs: name the column "
                "that holds the labels"
            )
        if names.count(name) > 1:
            raise InputError(
                f"label_column={given!r:.100} names {name!r:.60} {names.count(name)} times: name each "
                "column once"
            )
    return LabelColumns(part, kind, tuple(names))


def parts_of(
    columns: Sequence[LabelColumns],
    raw: Sequence[Any],
    names: Sequence[str],
    source: str,
    inputs: Any,
) -> Any:
    """Return labels as `TargetKind.targets` takes them: one, or a dict of them.

    Args:
        columns: The columns that `label_columns` returned.
        raw: The `RawLabels` of each.
        names: The name of each example in messages.
        source: The name of the data in messages.
        inputs: The inputs.
    """
    if not columns:
        return RawLabels([None] * len(names), names, source, inputs=inputs)
    if not columns[0].part:
        return raw[0]
    return {one.part: labels for one, labels in zip(columns, raw, strict=True)}
