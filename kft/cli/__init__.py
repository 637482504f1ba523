"""The command line, `kft fit`, `kft evaluate` and others: a thin layer over the functions.

Nothing here imports Keras or a backend before a command needs it, so that `kft --help` is fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

import kft
from kft.backends import BACKENDS
from kft.cli import demonstration, startup
from kft.cli.card import card
from kft.cli.comparing import runs
from kft.cli.configuration import config as show_config
from kft.cli.crossing import cross_validate
from kft.cli.deploying import deploy
from kft.cli.early_checks import check_backend, check_given
from kft.cli.exporting import export
from kft.cli.finding import find_lr
from kft.cli.planning import plan
from kft.cli.project import commands_of, from_file, read_project
from kft.cli.project_template import init
from kft.cli.reporting import report
from kft.cli.serving import serve
from kft.cli.training import fit
from kft.cli.tuning import select, tune
from kft.cli.using import evaluate, predict
from kft.cli.wording import in_options, with_way_out
from kft.cli.writing import generate
from kft.data.files import shown
from kft.errors import KftError
from kft.import_path import leave_out_working_directory

__all__ = ["app", "main"]

app = typer.Typer(
    name="kft",
    help="Fine-tune pretrained Keras models in stages, on TensorFlow, JAX and PyTorch.",
    epilog="KERAS_BACKEND chooses the backend, as always in Keras: tensorflow, jax or torch.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut the names of options at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Command(TyperCommand):
    """A command whose errors name its options in place of a function's arguments."""

    def invoke(self, ctx: Any) -> Any:
        check_backend(ctx)
        check_given(ctx)  # its errors name options already, and it imports no recipe
        try:
            return super().invoke(ctx)
        except KftError as error:
            error.args = (in_options(str(error), ctx, _typed()), *error.args[1:])
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List arguments and options by panel, with full names however narrow the terminal is."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                panel = getattr(parameter, "rich_help_panel", None) or usual
                panels.setdefault(panel, []).append(record)
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


# `kft.cli.demo` is the package that the command runs, so the function cannot have its name.
_COMMANDS = (
    fit,
    tune,
    select,
    evaluate,
    predict,
    generate,
    serve,
    export,
    deploy,
    plan,
    find_lr,
    cross_validate,
    report,
    card,
    runs,
    init,
    show_config,
    demonstration.demo,
)
for command in _COMMANDS:
    app.command(cls=_Command)(command)

_UsageError: Any = typer.BadParameter.__base__  # click's own; Typer exports only the subclass


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(kft.__version__)
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="KFT_CONFIG",
            help="YAML file with options for the commands, which `kft init` writes; those on the command line "
            "take precedence.",
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Show what TensorFlow and SentencePiece log as they start."
        ),
    ] = False,
) -> None:
    context.obj = dict(os.environ)  # as the user set it
    if not verbose:
        startup.quieten()
    if config is not None:
        context.default_map = read_project(config, commands_of(context))
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; an error is one line on standard error, and exit code 2."""
    leave_out_working_directory()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names may hold any bytes
    try:
        code = app(prog_name="kft", standalone_mode=False)
    except KftError as error:
        _stop(str(error))
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "kft"
        words = (shown(word) for word in error.format_message().split())
        worded = with_way_out(" ".join(words).replace("Value error, ", ""), error.ctx)
        worded = from_file(worded, error)
        _stop(f"{worded}{'' if worded.endswith(('.', '?')) else '.'} See {command} --help.")
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        _stop(
            f"Keras' backend needs `{error.name}`, which is not installed: "
            f"pip install '{BACKENDS[error.name].package}', or set KERAS_BACKEND to another backend."
        )
    except typer.Abort:
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _typed() -> Iterator[str]:
    """Yield the words on the command line, and the values after `--option=`."""
    for word in sys.argv[1:]:
        yield word.partition("=")[2] if word.startswith("--") else word


def _stop(message: str) -> NoReturn:
    for word in _typed():  # keep it on one line, without control sequences for the terminal
        if not word.isprintable():
            message = message.replace(word, ascii(word)[1:-1])
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in message)
    typer.echo(f"kft: {shown}", err=True)
    sys.exit(2)
