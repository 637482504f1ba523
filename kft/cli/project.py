"""Options of commands in a file: `kft --config kft.yaml fit`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kft.arguments import did_you_mean, in_words, shown
from kft.errors import InputError
from kft.plain_yaml import in_one_line, read_yaml

# Commands that take the same options for the same things. Others have `--data` or `--recipe` too, but
# mean data to evaluate on, or the class of a run.
TRAINING = ("fit", "tune", "cross-validate", "find-lr", "plan", "select")
OF_ONE = ("refit", "run-dir")  # which mean another thing in each of these commands
CODE = ("recipe", "recipes", "space", "task")  # may name a module to import
_ASSIGNING = ("set",)  # repeated options with NAME=VALUE, which may be a mapping


def read_project(path: Path, commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options that a file sets, as defaults of each command's parameters.

    The file is a mapping of options, without their dashes, to values. They are for all commands that
    train and have such an option. A command's name with a mapping of its own is for that command.

    Args:
        path: The file.
        commands: The commands by their names.

    Raises:
        InputError: If the file cannot be read, is no such mapping, has an unknown option, or names code to
            import.
    """
    content, named = read_yaml(path, "project file"), f"the project file {os.fspath(path)!r}"
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise InputError(
            f"{named} holds {shown(content)}, but options with their values are expected, such as "
            "`data: photos/`."
        )
    shared = {key: value for key, value in content.items() if key not in commands}
    known = {name: option for one in TRAINING for name, option in options_of(commands[one]).items()}
    for key in shared:
        if key in OF_ONE:
            raise InputError(
                f"{named} sets `{key}` for all commands, but each needs its own: write it below `fit` or `tune`."
            )
        if isinstance(shared[key], dict) and key not in known:
            hint = did_you_mean(key, commands)
            raise InputError(f"{named} has the section `{key}`, which is not a command{hint}.")
        _check_option(named, key, known, in_words(TRAINING))
    found: dict[str, dict[str, Any]] = {}
    for name, command in commands.items():
        options, section = options_of(command), content.get(name)
        section = {} if section is None else section
        if not isinstance(section, dict):
            raise InputError(
                f"{named}: `{name}` is {shown(section)}, but it is a command: write a mapping of its options."
            )
        for key in section:
            _check_option(named, key, options, f"`kft {name}`")
        general = {key: v for key, v in shared.items() if name in TRAINING and key in options}
        found[name] = {
            options[key].name: _value(named, key, value, options[key])
            for key, value in {**general, **section}.items()
            if value is not None
        }
    return found


def commands_of(context: Any) -> dict[str, Any]:
    """Return all commands by name.

    Args:
        context: The context of `kft` itself.
    """
    return dict(context.command.commands)


def from_file(message: str, error: Any) -> str:
    """Return the message of a usage error, with the file if that is where the value is from.

    Args:
        message: The message.
        error: The error of the command line's parser.
    """
    context, parameter = error.ctx, getattr(error, "param", None)
    if context is None or context.parent is None or parameter is None:
        return message
    source = context.get_parameter_source(parameter.name)
    if source is None or source.name != "DEFAULT_MAP":
        return message
    value = (context.default_map or {}).get(parameter.name)
    place = os.fspath(context.parent.params["config"])
    message = message.rstrip(".")
    return (
        f"{message} (in {place})"
        if str(value) in message
        else f"{message}: {shown(value)} in {place}"
    )


def options_of(command: Any) -> dict[str, Any]:
    """Return the parameters of a command by their names in a project file.

    Args:
        command: The command.
    """
    return {name: one for one in command.params for name in _names(one) if name != "help"}


def _names(parameter: Any) -> Iterator[str]:
    """Yield the long names of an option without dashes, or the name of an argument."""
    if parameter.param_type_name == "argument":
        yield parameter.name
    for option in parameter.opts:
        if option.startswith("--"):
            yield option[2:]


def _check_option(named: str, key: str, options: Mapping[str, Any], command: str) -> None:
    if key not in options:
        hint = did_you_mean(key.replace("_", "-"), options)
        raise InputError(f"{named} sets `{key}`, which is not an option of {command}{hint}.")


def _value(named: str, key: str, value: Any, parameter: Any) -> Any:
    """Return a value as it would be typed."""
    if isinstance(value, dict):
        if key not in _ASSIGNING:
            raise InputError(f"{named}: `{key}` is a mapping, but takes a value or a list.")
        value = [f"{name}={_typed(one)}" for name, one in value.items()]
    values = value if isinstance(value, list) else [value]
    if isinstance(value, bool) and getattr(parameter, "is_flag", False):
        return value
    words = [_typed(one) for one in values]
    if parameter.name in CODE and any(":" in word for word in words):
        raise InputError(
            f"{named}: `{key}: {', '.join(words)}` names code to import, which a file must not: pass it on the "
            "command line."
        )
    if parameter.nargs == -1 or getattr(parameter, "multiple", False):
        return words
    return ",".join(words)


def _typed(value: Any) -> str:
    """Return text as it is, and other values as YAML in one line."""
    return value if isinstance(value, str) else in_one_line(value)
