"""`kft evaluate` and `kft predict`: using a finished run."""

from __future__ import annotations

import contextlib
import json as json_module
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kft.cli import options as o
from kft.cli.data_options import LabelledData, OnBadExample, Reading
from kft.cli.groups import grouped
from kft.cli.open_run import RunRecipe, RunTask, open_recipe
from kft.cli.outputs import ANSWERS, FIGURES, check_one_outcome, check_output, save_figure
from kft.errors import InputError

_LISTED = 20  # skipped inputs that are printed by name
_OUTCOME = "Outcome"


@grouped
def evaluate(
    run: o.RunDir,
    data: LabelledData,
    reading: Reading,
    recipe: RunRecipe = None,
    task: RunTask = None,
    batch_size: o.BatchSize = 32,
    perturb: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME...]",
            help="Also evaluate on corrupted data: standard, or names such as jpeg,fgsm or typos.",
        ),
    ] = None,
    views: o.Views = 1,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the result to a file, such as result.png."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Evaluate a run on labelled data.

    kft evaluate runs/photos --data photos-test/
    """
    check_output("--plot", plot, FIGURES)
    opened = open_recipe(run, recipe, task)
    examples = reading.read(data, type(opened), opened.task, opened.classes)
    names = perturb.split(",") if perturb and perturb != "standard" else perturb
    result = opened.evaluate(examples, batch_size=batch_size, perturb=names, views=views)
    if plot is not None:
        save_figure(result.plot(), plot)
    typer.echo(_as_json(result.to_dict()) if json else str(result))


def predict(
    run: o.RunDir,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Images or .txt files with one text each; folders, searched with all below them; "
            "patterns such as 'photos/**/*.jpg'; CSV, TSV or Parquet files; files that the run's "
            "task reads, such as SQuAD's JSON; - for standard input, one text per line, or one path of "
            "an image.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="A text itself. Repeatable.")] = None,
    text_column: Annotated[str, typer.Option(help="Column of a table with the texts.")] = "text",
    path_column: Annotated[
        str, typer.Option(help="Column of a table with paths of images, relative to the table.")
    ] = "path",
    image_root: Annotated[
        str | None,
        typer.Option(
            help="Folder that paths of images in a table are relative to. Default: that of the table."
        ),
    ] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    max_pixels: Annotated[
        int | None,
        typer.Option(min=1, help="The largest image accepted, width times height."),
    ] = None,
    on_bad_example: Annotated[
        OnBadExample,
        typer.Option(help="Stop at an input that cannot be used, or skip it and list it."),
    ] = OnBadExample.error,
    recipe: RunRecipe = None,
    task: RunTask = None,
    batch_size: o.BatchSize = 32,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the answers to a file that ends in .csv, .tsv, .jsonl or .parquet, or masks or "
            "drawn boxes to a folder, completely or not at all. Default: print them.",
            rich_help_panel=_OUTCOME,
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Return the K most probable classes of each input, with their probabilities.",
            rich_help_panel=_OUTCOME,
        ),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="PROBABILITY",
            help="Add to each answer a set of classes, or a range around a number, that contains the "
            "truth with this probability, such as 0.9.",
            rich_help_panel=_OUTCOME,
        ),
    ] = None,
    views: o.Views = 1,
    json: o.Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Predict images, texts or clips.

    Prints a label and its probability for each.

    kft predict runs/photos a.jpg b.jpg

    kft predict runs/photos holiday/ --output answers.csv --top-k 3
    """
    if not inputs and not text:
        raise InputError(
            "nothing to predict: pass files, folders or tables, or --text for a text recipe."
        )
    if output is not None and output.suffix:  # a folder depends on the task
        check_output("--output", output, ANSWERS)
    check_one_outcome(json, output)
    opened = open_recipe(run, recipe, task)
    if opened.modality != "text" and text:
        raise InputError(
            f"--text: {type(opened).__name__} answers {opened.modality}s; pass their files."
        )
    if top_k is not None:
        _check_top(opened, top_k)

    from kft.data.image_files import MAX_PIXELS
    from kft.data.unlabelled import Unlabelled
    from kft.family.predicting import check_choices, empty_predictions

    check_choices(opened, coverage, views)

    source = Unlabelled(
        inputs or (),
        modality=opened.modality,
        texts=text or (),
        text_column=text_column,
        path_column=path_column,
        image_root=image_root,
        encoding=encoding,
        max_pixels=max_pixels or MAX_PIXELS,
        hooks=opened.task,
    )
    writer = None if output is None else empty_predictions(opened).writer(output)
    if output is not None and source.reads(output):
        raise InputError(f"--output {output} is one of the inputs: pass another file.")
    skips = on_bad_example is OnBadExample.skip
    with contextlib.closing(
        _answers(opened, source, batch_size, skips, top_k, coverage, views, quiet=quiet)
    ) as answers:
        if writer is not None:
            _write(answers, writer)
        elif json:
            _print_json(answers)
        else:
            _print(answers)


def _answers(
    recipe: Any,
    source: Any,
    batch_size: int,
    skips: bool,
    top_k: int | None,
    coverage: float | None,
    views: int,
    *,
    quiet: bool,
) -> Generator[Any, None, None]:
    """Yield the answers batch by batch, with progress and skipped inputs on standard error."""
    from kft.family.predicting import predict_stream
    from kft.report.progress import Progress

    total = source.survey("skip" if skips else "error")
    skipped = 0
    with Progress("Predicting", total, verbose=0 if quiet else "auto") as progress:

        def skip(raw: Any) -> None:
            nonlocal skipped
            skipped += 1
            if skipped <= _LISTED:
                with progress.aside():
                    typer.echo(f"skipped {raw.place}: {raw.reason}", err=True)

        for predictions in predict_stream(
            recipe,
            source,
            batch_size=batch_size,
            skip=skip if skips else None,
            passed=progress.advance,
            coverage=coverage,
            views=views,
        ):
            with progress.aside():
                yield predictions if top_k is None else predictions.top(top_k)
        if progress.done == skipped:
            raise InputError(f"none of the {skipped} inputs can be used.")
    if skipped > _LISTED:
        typer.echo(f"skipped {skipped - _LISTED} more", err=True)


def _check_top(recipe: Any, top_k: int) -> None:
    from kft.family.predicting import empty_predictions

    count = empty_predictions(recipe).class_count
    if not count:
        raise InputError(f"--top-k {top_k}: the run has no classes.")
    if top_k > count:
        raise InputError(f"--top-k {top_k}: the run has {count} classes; pass 1 to {count}.")


def _write(answers: Iterator[Any], writer: Any) -> None:
    signal.signal(signal.SIGTERM, _end)  # so that half-written files are removed
    try:
        with writer as file:
            for predictions in answers:
                file.add(predictions)
    except OSError as error:
        raise InputError(
            f"--output {writer.path}: cannot be written ({error.strerror})."
        ) from error
    typer.echo(f"{file.count:,} answers: {writer.path}")


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _print_json(answers: Iterator[Any]) -> None:
    columns: dict[str, list] = {}
    for predictions in answers:
        for name, values in predictions.to_dict().items():
            columns.setdefault(name, []).extend(values)
    typer.echo(_as_json(columns))


def _print(answers: Iterator[Any]) -> None:
    """Print each batch as it comes, with columns as wide as the first batch needs."""
    from kft.tasks.predictions.base import aligned

    widths: list[int] = []
    for predictions in answers:
        head, rows = predictions.cells()
        if not widths:
            widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
            typer.echo(aligned(head, widths))
        for row in rows:
            typer.echo(aligned(row, widths))


def _as_json(value: dict[str, Any]) -> str:
    return json_module.dumps(value, ensure_ascii=False, allow_nan=False)
