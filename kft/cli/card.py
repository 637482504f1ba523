"""`kft card`: the model card of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kft.cli import options as o
from kft.cli.outputs import check_output
from kft.data.files import written
from kft.errors import InputError


def card(
    run: o.RunDir,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the card to a file. Default: print it."),
    ] = None,
) -> None:
    """Print a model card of a finished run, as Markdown.

    kft card runs/photos --output MODEL_CARD.md
    """
    check_output("--output", output)
    if output is not None and output.exists():  # its open sections may have been filled in
        raise InputError(f"--output: {output} exists: pass another file, or remove it.")
    from kft.runs.card import model_card

    text = model_card(run)
    if output is None:
        typer.echo(text, nl=False)
        return
    with written(output):
        output.write_text(text, encoding="utf-8")
    typer.echo(str(output))
