"""Tasks as people write them: an object, a short name with a recipe's arguments, or saved JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from kft.arguments import shown
from kft.errors import InputError
from kft.tasks.classification import Classification, MultiLabel
from kft.tasks.regression import Regression
from kft.tasks.several import Several
from kft.tasks.task import Task

SHORT: dict[str, type[Task]] = {
    kind.name: kind for kind in (Classification, MultiLabel, Regression)
}
_SAVED: dict[str, type[Task]] = {**SHORT, Several.name: Several}


def resolve(given: Any, arguments: Mapping[str, Any], seed: int) -> Task:
    """Return the task that a recipe's arguments describe.

    Args:
        given: A task, its short name, or what `described` returned.
        arguments: The recipe's arguments that are short for the task's own: `num_classes`, `hidden`,
            `dropout`, `label_smoothing`; None for the task's default.
        seed: The recipe's seed.

    Raises:
        InputError: If there is no such task, or it has no such argument.
    """
    if isinstance(given, Mapping):
        given = _restored(given)
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
        elif value not in (None, (), [], 0, 0.0):
            raise InputError(f"`{name}={shown(value)}`, but {_named(kind)} has none: leave it out.")
    if isinstance(given, Task):
        return dataclasses.replace(given, **own)
    if kind is not Regression:
        own.setdefault("num_classes", None)
    return kind(**own)


def described(task: Task) -> Any:
    """Return what `recipe.json` keeps of a task: its short name, or its name and arguments."""
    if type(task) in SHORT.values():
        return task.name
    return {"name": task.name, "arguments": task.config()}


def short_arguments(task: Task) -> dict[str, Any]:
    """Return the values of the recipe's arguments that are short for the task's own."""
    return {
        "num_classes": getattr(task, "width", None),
        "hidden": getattr(task, "hidden", ()),
        "dropout": getattr(task, "dropout", None),
        "label_smoothing": getattr(task, "label_smoothing", 0.0),
    }


def _restored(saved: Mapping[str, Any]) -> Task:
    """Build a task of kft's own from JSON; a name in a file imports nothing."""
    name = saved.get("name")
    kind = _SAVED.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"`task={shown(name)}` is no task of kft: pass the task that was trained.")
    arguments = dict(saved.get("arguments") or {})
    if kind is Several:
        arguments["tasks"] = {key: _restored(one) for key, one in arguments["tasks"].items()}
    return kind(**arguments)


def _named(kind: type[Task]) -> str:
    return f"`task={kind.name!r}`" if kind in SHORT.values() else kind.__name__
