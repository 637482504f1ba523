"""Tasks as arguments of a recipe: an object, or a short name with the recipe's shorthand arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kft.arguments import shown
from kft.errors import InputError
from kft.tasks.regression import Regression
from kft.tasks.saved import SHORT, described, restored
from kft.tasks.task import Task

ARGUMENTS = ("num_classes", "hidden", "dropout", "label_smoothing")


def resolve(
    given: Any, arguments: Mapping[str, Any], seed: int, class_count: int | None = None
) -> Task:
    """Return the task that a recipe's arguments describe.

    Args:
        given: A task, its short name, or what `described` returned.
        arguments: The recipe's shorthands for arguments of the task: `num_classes`, `hidden`, `dropout`,
            `label_smoothing`; None for the task's default.
        seed: The recipe's seed.
        class_count: The number of named classes, if they are known; it stands for `num_classes`.

    Raises:
        InputError: If there is no such task, or it has no such argument.
    """
    given = restored(given) if isinstance(given, Mapping) else given
    kind = SHORT.get(given) if isinstance(given, str) else type(given)
    if kind is None or not issubclass(kind, Task):
        known = ", ".join(map(repr, SHORT))
        raise InputError(
            f"`task={shown(given)}` is unknown: pass one of {known}, or a kft.tasks.Task."
        )
    fields = {one.name for one in dataclasses.fields(kind)}
    own: dict[str, Any] = {"seed": seed}
    for name, value in arguments.items():
        target = "num_values" if name == "num_classes" and kind is Regression else name
        if target in fields:
            if value is not None:
                own[target] = value
        elif value not in (None, (), [], 0, 0.0):  # a saved recipe has lists
            raise InputError(f"`{name}={shown(value)}`, but {_named(kind)} has none: leave it out.")
    if isinstance(given, Task):
        return dataclasses.replace(given, **own)
    if "num_classes" in fields:
        own.setdefault("num_classes", class_count)
    return kind(**own)


def takes_count(name: str) -> bool:
    """Return whether the task with this short name takes a number of outputs.

    Args:
        name: A short name; True for an unknown one.
    """
    kind = SHORT.get(name)
    names = {one.name for one in dataclasses.fields(kind)} if kind else {"num_classes"}
    return not names.isdisjoint(("num_classes", "num_values"))


def short_arguments(task: Task) -> dict[str, Any]:
    """Return the values of the recipe's shorthand arguments for a task."""
    return {
        "num_classes": getattr(task, "width", None),
        "hidden": getattr(task, "hidden", ()),
        "dropout": getattr(task, "dropout", None),
        "label_smoothing": getattr(task, "label_smoothing", 0.0),
    }


def short_name(task: Task) -> str | None:
    """Return the short name of a task in a recipe; None if only the task itself describes it."""
    found = described(task)
    return found if isinstance(found, str) else None


def differing(task: Task) -> dict[str, Any]:
    """Return the recipe arguments that describe a task, None for those at the task's defaults.

    Args:
        task: A recipe's task.
    """
    if short_name(task) is None:
        return {**dict.fromkeys(ARGUMENTS), "task": task}
    defaults = {field.name: field.default for field in dataclasses.fields(task)}
    given = {
        name: None if value == defaults.get(name) else value
        for name, value in short_arguments(task).items()
    }
    if given["label_smoothing"] == 0:  # what `short_arguments` has for a task without it
        given["label_smoothing"] = None
    return {**given, "task": task.name}


def _named(kind: type[Task]) -> str:
    return f"`task={kind.name!r}`" if kind in SHORT.values() else kind.__name__
