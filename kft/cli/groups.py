"""Options that several commands share, as fields of dataclasses, and which of them were passed.

An option that was not passed is None, and is not passed on, so that Python's default applies.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, get_type_hints

_T = TypeVar("_T")


def grouped(command: Callable[..., _T]) -> Callable[..., _T]:
    """Turn each field of a parameter that is a dataclass into an option.

    Args:
        command: A function whose parameters have types that Typer supports, or are dataclasses with
            fields of such types and their defaults.

    Returns:
        The function for Typer: it takes all of them by name, creates the dataclasses, and calls the
        command.
    """
    parameters = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        group = parameter.annotation
        if isinstance(group, type) and dataclasses.is_dataclass(group):
            own = _parameters(group)
            groups[parameter.name] = (group, [one.name for one in own])
            parameters += own
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def called(**given: Any) -> _T:
        for name, (group, fields) in groups.items():
            given[name] = group(**{field: given.pop(field) for field in fields})
        return command(**given)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were passed, by name, without those that are None or empty lists.

    Args:
        **options: Values of options; of an enumeration its member.
    """
    return {
        name: value.value if isinstance(value, Enum) else value
        for name, value in options.items()
        if value is not None and value != []
    }


def _parameters(group: Any) -> list[inspect.Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=(
                inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
            ),
            annotation=types[field.name],
        )
        for field in dataclasses.fields(group)
    ]
