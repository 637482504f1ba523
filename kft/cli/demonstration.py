"""`kft demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[
        Path,
        typer.Option(help="Directory that gets the runs, the page and the export; new or empty."),
    ] = Path("kft-demo"),
    seeds: Annotated[
        int, typer.Option(min=1, help="How often the comparison is repeated, each time anew.")
    ] = 3,
    examples: Annotated[
        int, typer.Option(min=2, max=40, help="Examples of each new digit to learn from.")
    ] = 5,
) -> None:
    """Show on handwritten digits what staged fine-tuning is worth, without a network.

    A small model learns the digits 0 to 4. A few examples each of 5 to 9 then train it from
    scratch, its head only, and in stages, and the same test digits judge all three.
    """
    from kft.demo import run_demo

    run_demo(directory, seeds=range(seeds), examples=examples)
