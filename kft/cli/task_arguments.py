"""Arguments of a recipe's task that `--set` passes: those that the recipe itself lacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kft.recipe.recipe import Recipe
    from kft.tasks import Task


def task_fields(recipe_class: type[Recipe], name: str | None = None) -> frozenset[str]:
    """Return the names of the arguments that a recipe's task has, but the recipe has not.

    Args:
        recipe_class: The recipe's class.
        name: The task's short name. Defaults to the recipe's default.

    Returns:
        The names; empty for a task without a short name.
    """
    kind = _kind(recipe_class, name)
    if kind is None:
        return frozenset()
    own = {one.name for one in dataclasses.fields(recipe_class)}
    fields = {one.name for one in dataclasses.fields(kind)}
    return frozenset(fields - own - {"num_values", *kind.set_by_recipe})


def with_task(recipe_class: type[Recipe], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's arguments with those of its task moved into `task`.

    Args:
        recipe_class: The recipe's class.
        arguments: Arguments of both; `task` is a short name, or missing.

    Raises:
        InputError: If the task refuses a value.
    """
    name = arguments.get("task")
    own = task_fields(recipe_class, name) & arguments.keys()
    kind = _kind(recipe_class, name)
    if not own or kind is None:
        return dict(arguments)
    values = {one: arguments[one] for one in own}
    if "num_classes" in {one.name for one in dataclasses.fields(kind)}:
        values["num_classes"] = 2  # until the recipe sets it
    others = {one: value for one, value in arguments.items() if one not in own}
    return {**others, "task": kind(**values)}


def _kind(recipe_class: type[Recipe], name: str | None) -> type[Task] | None:
    from kft.tasks.saved import SHORT

    default = next(one.default for one in dataclasses.fields(recipe_class) if one.name == "task")
    chosen = default if name is None else name
    return SHORT.get(chosen) if isinstance(chosen, str) else None
