"""`kft config`: the values of options and environment variables, and where each is from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from kft.arguments import did_you_mean
from kft.backends.configured import find_backend
from kft.cli import environment
from kft.cli import options as o
from kft.cli.project import commands_of, options_of
from kft.errors import InputError
from kft.printing import as_text, captioned, printable

# Where Typer says that a value is from, in the words of `Setting`.
_SOURCES = {"DEFAULT_MAP": "file", "ENVIRONMENT": "environment", "DEFAULT": "default"}


@dataclass(frozen=True)
class Setting:
    """The value of an option of a command.

    Attributes:
        option: Its name without dashes, as in a project file.
        value: The value, plain; None if there is none.
        shown: The value in words.
        source: `"file"`, `"environment"` or `"default"`.
    """

    option: str
    value: Any
    shown: str
    source: str


def config(
    context: typer.Context,
    command: Annotated[
        str | None,
        typer.Argument(
            metavar="COMMAND",
            help="The command whose options to show, with their defaults. Default: what the file sets for "
            "any command.",
            show_default=False,
        ),
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Show which options are set, and where.

    Options on the command line take precedence over the project file, and that over the defaults.

    kft --config kft.yaml config fit
    """
    root = context.parent
    assert root is not None
    commands = commands_of(root)
    if command is not None and command not in commands:
        raise InputError(
            f"there is no command {command!r}{did_you_mean(command, commands)}: kft --help lists them."
        )
    chosen = commands if command is None else {command: commands[command]}
    found = {name: list(_settings(root, name, one)) for name, one in chosen.items()}
    if command is None:
        found = {
            name: [one for one in own if one.source != "default"] for name, own in found.items()
        }
        found = {name: own for name, own in found.items() if own}
    variables = environment.values(root.obj, command)
    file = _file(root)
    if as_json:
        typer.echo(_as_json(file, found, variables))
        return
    rows = [("project file", file[0] or "none", file[1])]
    if "KERAS_BACKEND" in variables:
        rows.append(("backend", *find_backend()))
    _print_table("kft", ("", "value", "source"), rows)
    if command is None:
        _print_table("Options", ("option", "value", "of", "source"), _joined(found, file[0]))
    else:
        own = ((one.option, one.shown, _named(one.source, file[0])) for one in found[command])
        _print_table(f"kft {command}", ("option", "value", "source"), own)
    rows = [
        (name, variables[name] or "not set", one.use)
        for name, one in environment.variables_of(command).items()
    ]
    _print_table("Environment", ("variable", "value", "for"), rows)


def _settings(root: Any, name: str, command: Any) -> Iterator[Setting]:
    """Yield the settings of a command.

    Raises:
        typer.BadParameter: If the file has a value that the command would refuse.
    """
    context = typer.Context(command, parent=root, info_name=name)
    for option, parameter in options_of(command).items():
        if parameter.required and parameter.name not in (context.default_map or {}):
            yield Setting(option, None, "required", "default")
            continue
        value = _plain(parameter.handle_parse_result(context, {}, [])[0])
        source: Any = context.get_parameter_source(parameter.name)
        shown = _in_words(value) or _usual(parameter)
        yield Setting(option, value, shown, _SOURCES[source.name])


def _usual(parameter: Any) -> str:
    """Return the default that the help of an option without a value names."""
    named = (parameter.help or "").partition("Default: ")[2]
    return named.rstrip(".") or "none"


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return os.fspath(value) if isinstance(value, Path) else value


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _file(root: Any) -> tuple[str | None, str]:
    """Return the project file, and what names it."""
    path, source = root.params.get("config"), root.get_parameter_source("config")
    if path is None:
        return None, "default"
    return os.fspath(path), "KFT_CONFIG" if source.name == "ENVIRONMENT" else "--config"


def _as_json(
    file: tuple[str | None, str],
    found: Mapping[str, list[Setting]],
    variables: Mapping[str, str | None],
) -> str:
    backend, source = find_backend()
    options = {
        name: {one.option: {"value": one.value, "source": one.source} for one in own}
        for name, own in found.items()
    }
    return json.dumps(
        {
            "file": {"value": file[0], "source": file[1]},
            "backend": {"value": backend, "source": source},
            "options": options,
            "environment": variables,
        }
    )


def _joined(
    found: Mapping[str, list[Setting]], file: str | None
) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each option and value, with the commands that share it."""
    commands: dict[tuple[str, str, str], list[str]] = {}
    for name, own in found.items():
        for one in own:
            key = one.option, one.shown, _named(one.source, file)
            commands.setdefault(key, []).append(name)
    for (option, shown, source), names in commands.items():
        yield option, shown, ", ".join(names), source


def _named(source: str, file: str | None) -> str:
    return str(file) if source == "file" else source


def _print_table(caption: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    if table.rows:
        typer.echo(f"{as_text(captioned(caption, table))}\n")
