"""`kft report`: the page of a finished run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kft.cli import options as o
from kft.cli.data_options import Reading
from kft.cli.groups import grouped
from kft.cli.open_run import RunRecipe, RunTask, named_class, named_tasks
from kft.cli.outputs import check_output
from kft.errors import InputError
from kft.runs.places import REPORT, check_run

_OF_DATA = "evaluation.html"  # beside the run's own page, which no command could write again


@grouped
def report(
    run: o.RunDir,
    reading: Reading,
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled data to write the page about, of the kinds that `kft fit` takes. "
            "Default: the page as it was written when the run ended.",
            rich_help_panel="Data",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Labelled data of another task, such as that of the pretrained weights: the page shows "
            "what was forgotten of it. Needs --data or --output.",
            rich_help_panel="Data",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The page to write. Default: RUN/report.html, and with --data RUN/evaluation.html.",
        ),
    ] = None,
    recipe: RunRecipe = None,
    task: RunTask = None,
    batch_size: o.BatchSize = 32,
) -> None:
    """Write a page about a run: figures, curves, mistakes.

    It also shows the plan, the data, the time, and what was forgotten.

    kft report runs/photos --data photos-test/ --output test.html
    """
    check_output("--output", output)
    written = run / REPORT
    if source is not None and data is None and output is None:
        raise InputError(
            f"--source alone would write {written} without its figures: pass --data too, or --output."
        )
    if data is None and output is None and os.path.isfile(written):
        typer.echo(str(written))
        return
    check_run(run)  # before Keras is imported
    from kft.family.reopening import reopen, report_again, with_evaluation
    from kft.insight.forgetting import forgetting

    opened = reopen(run, recipe=named_class(recipe), task=named_tasks(task))
    if data is not None:
        used = opened.recipe
        examples = reading.read(data, type(used), used.task, used.classes)
        evaluation = used.evaluate(examples, batch_size=batch_size)
        opened = with_evaluation(opened, evaluation, examples)
    lost = None if source is None else forgetting(opened.recipe, source)
    page = output or (written if data is None else run / _OF_DATA)
    typer.echo(str(report_again(opened, page, forgetting=lost)))
