"""Kinds of targets: one class, several classes, numbers, and combinations of kinds."""

from typing import Any

from kft.data.kinds.combined import Combined
from kft.data.kinds.multi import MultiLabels
from kft.data.kinds.numbers import Numbers
from kft.data.kinds.single import SingleLabels
from kft.data.targets import TargetKind
from kft.errors import InputError

__all__ = ["Combined", "MultiLabels", "Numbers", "SingleLabels", "kind_named"]

_SHORT: dict[str, TargetKind] = {
    kind.name: kind for kind in (SingleLabels(), MultiLabels(), Numbers())
}


def kind_named(task: Any) -> TargetKind:
    """Return a task's kind of targets.

    Args:
        task: A `TargetKind`, or the short name of one: "single_label", "multi_label", "regression".

    Raises:
        InputError: It is neither.
    """
    found = _SHORT.get(task) if isinstance(task, str) else task
    if not isinstance(found, TargetKind):
        raise InputError(
            f"task={task!r:.60}, but one of {', '.join(map(repr, _SHORT))}, or a kft.tasks.Task is "
            "expected"
        )
    return found
