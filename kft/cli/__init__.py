"""The command line: `kft fit`, `kft evaluate` and the others, thin over the functions.

Nothing here imports Keras or a backend before a command needs it, so that `kft --help` is quick.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import kft
from kft.cli.demonstration import demo
from kft.cli.exporting import export
from kft.cli.finding import find_lr
from kft.cli.planning import plan
from kft.cli.reporting import report
from kft.cli.training import fit
from kft.cli.tuning import select, tune
from kft.cli.using import evaluate, predict
from kft.errors import KftError
from kft.import_path import leave_out_working_directory

__all__ = ["app", "main"]

app = typer.Typer(
    name="kft",
    help="Fine-tune pretrained Keras models in stages, on TensorFlow, JAX and PyTorch.",
    epilog="The backend is Keras' own choice: set KERAS_BACKEND to tensorflow, jax or torch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (fit, tune, select, evaluate, predict, export, plan, find_lr, report, demo):
    app.command()(command)

_BACKENDS = {"jax": "kft[jax]", "tensorflow": "tensorflow", "torch": "kft[torch]"}


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(kft.__version__)
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a `KftError` is one line on standard error and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors come as exceptions all the same
    leave_out_working_directory()
    try:
        app()
    except KftError as error:
        _stop(str(error))
    except ModuleNotFoundError as error:
        if error.name not in _BACKENDS:
            raise
        _stop(
            f"Keras' backend needs `{error.name}`, which is not installed: "
            f"pip install '{_BACKENDS[error.name]}', or set KERAS_BACKEND to another backend."
        )


def _stop(message: str) -> None:
    typer.echo(f"kft: {message}", err=True)
    sys.exit(2)
