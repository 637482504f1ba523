"""`kft demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[
        Path,
        typer.Option(help="Directory for the runs, the page and the export; new or empty."),
    ] = Path("kft-demo"),
    seeds: Annotated[
        int,
        typer.Option(
            min=1,
            max=100,
            help="Number of repetitions, each with other examples and initial weights.",
        ),
    ] = 3,
    examples: Annotated[
        list[int] | None,
        typer.Option(
            min=2,
            max=40,
            help="Examples of each new digit for training; repeatable for several numbers. "
            "Default: 5, 10 and 20.",
        ),
    ] = None,
) -> None:
    """Show what fine-tuning gains on digits, without a network.

    A small model learns the digits 0 to 4. Then a few examples of each of the digits 5 to 9 are learned:
    by `recipe.fit(data)`, by a linear model on the small model's features, and by the same network from
    scratch. All three are tested on the same digits.
    """
    from kft.cli.demo import run_demo

    run_demo(directory, seeds=range(seeds), examples=examples)
