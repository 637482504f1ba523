"""`kft runs`: finished runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kft.errors import InputError
from kft.runs.comparison import Comparison


def runs(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="DIRECTORY...", help="Run directories, or directories of these."),
    ],
    figure: Annotated[
        str | None,
        typer.Option(
            help="The figure to show and to sort by, such as accuracy, or the value by which epochs were "
            "compared, such as val_loss. Default: the first one of the first run."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all figures and differing settings as JSON.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The same as CSV.")] = False,
) -> None:
    """Compare finished runs: figures and differing settings.

    kft runs runs/ --figure accuracy
    """
    if as_json and as_csv:
        raise InputError("--json and --csv are two forms of the same: pass one of them.")
    found = Comparison.of(places, figure)
    text = found.as_json() if as_json else found.as_csv() if as_csv else str(found)
    typer.echo(text.rstrip("\n"))
