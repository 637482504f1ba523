"""`kft init`: a project file with all options as comments."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kft.arguments import in_words
from kft.cli.outputs import check_output
from kft.cli.project import CODE, OF_ONE, TRAINING, commands_of, options_of
from kft.errors import InputError
from kft.runs.files import writing_to

_HEAD = """\
# Options for the commands of kft: kft --config {name} fit
# Those on the command line take precedence. Paths are relative to the working directory.
# Remove the # before an option to set it.

# For {training}:
"""
_VALUES = {"recipe": "MobileNetRecipe", "model": "MobileNetV2", "data": "photos"}
_RUN_DIRS = {"fit": "runs/photos", "tune": "runs/search"}
_WIDTH = 100


def init(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path(
        "kft.yaml"
    ),
) -> None:
    """Write a project file with the options of the commands.

    It has all options of commands that train, with their descriptions.

    kft init && kft --config kft.yaml fit
    """
    check_output("FILE", path)
    if path.exists():
        raise InputError(f"{path} exists: pass another FILE, or remove it.")
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template(context, path.name), encoding="utf-8")
    typer.echo(f"{path}: edit it, then kft --config {path} fit")


def template(context: typer.Context, name: str) -> str:
    """Return the text of a project file.

    Args:
        context: The context of a command.
        name: The name of the file.
    """
    assert context.parent is not None
    commands = commands_of(context.parent)
    options = {one: options_of(commands[one]) for one in TRAINING}
    times = Counter(key for own in options.values() for key in own)
    shared: dict[str, Any] = {}
    for own in options.values():
        shared |= {key: one for key, one in own.items() if key not in shared and times[key] > 1}
    shared = {key: one for key, one in shared.items() if key not in OF_ONE}
    training = in_words(TRAINING, "and")
    text = _HEAD.format(name=name, training=training) + _block(context, shared, _VALUES)
    for command, run_dir in _RUN_DIRS.items():
        own = {key: one for key, one in options[command].items() if key not in {*shared, *CODE}}
        text += f"\n{command}:\n{textwrap.indent(_block(context, own, {'run-dir': run_dir}), '  ')}"
    return text


def _block(context: typer.Context, options: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """Return a line for each option, below its description; those without a value are comments."""
    lines = []
    for key, parameter in options.items():
        lines += textwrap.wrap(
            parameter.help or "", _WIDTH, initial_indent="# ", subsequent_indent="# "
        )
        set_to = values.get(key)
        lines.append(f"{key}: {set_to}" if set_to else f"#{key}: {_form(context, parameter)}")
    return "\n".join(lines) + "\n"


def _form(context: typer.Context, parameter: Any) -> str:
    """Return the form of an option's value, as in its help, such as `<int>`."""
    if getattr(parameter, "is_flag", False):
        return "true" if not parameter.default else "false"
    form, _ = parameter.get_help_record(context)
    return form.rpartition("--")[2].partition(" ")[2]
