"""`kft evaluate` and `kft predict`: what one asks of a finished run."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kft.cli import options as o
from kft.cli.finding import save_figure
from kft.cli.groups import grouped
from kft.cli.opening import RunRecipe, open_recipe
from kft.errors import InputError


@grouped
def evaluate(
    run: o.RunDir,
    data: o.LabelledData,
    reading: o.Reading,
    recipe: RunRecipe = None,
    batch_size: o.BatchSize = 32,
    perturb: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME...]",
            help="Evaluate on worse data too: standard, or names such as jpeg,fgsm or typos.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the outcome to a file, such as outcome.png."),
    ] = None,
    json: o.Json = False,
) -> None:
    """Compare a run's answers with labelled data.

    kft evaluate runs/photos --data photos-test/
    """
    opened = open_recipe(run, recipe)
    examples = reading.read(data, type(opened), opened.task, opened.classes)
    names = perturb.split(",") if perturb and perturb != "standard" else perturb
    result = opened.evaluate(examples, batch_size=batch_size, perturb=names)
    if plot is not None:
        save_figure(result.plot(), plot)
    typer.echo(_as_json(result.to_dict()) if json else str(result))


def predict(
    run: o.RunDir,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Images, or text files with a text each; - reads a text a line from standard "
            "input.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="A text itself instead of a file. Repeatable.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of text files.")] = "utf-8",
    recipe: RunRecipe = None,
    batch_size: o.BatchSize = 32,
    json: o.Json = False,
) -> None:
    """Answer files or texts: a label and its probability for each.

    kft predict runs/photos a.jpg b.jpg
    """
    names, raw = list(inputs or ()), list(text or ())
    if not names and not raw:
        raise InputError("nothing to predict: pass files, or --text for a text recipe.")
    opened = open_recipe(run, recipe)
    if opened.modality == "text":
        raw = [one for name in names for one in _read_texts(name, encoding)] + raw
    elif raw:
        raise InputError(f"--text: {type(opened).__name__} answers images; pass their files.")
    else:
        raw = names
        missing = [name for name in names if not Path(name).is_file()]
        if missing:
            raise InputError(f"{missing[0]}: no such file.")
    answers = opened.predict(raw, batch_size=batch_size)
    typer.echo(_as_json(answers.to_dict()) if json else str(answers))


def _read_texts(name: str, encoding: str) -> list[str]:
    if name == "-":
        return [line.rstrip("\n") for line in sys.stdin if line.strip()]
    try:
        return [Path(name).read_text(encoding=encoding)]
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}).") from error
    except (LookupError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: not {encoding} ({error}); pass --encoding.") from error


def _as_json(value: dict[str, Any]) -> str:
    return json_module.dumps(value, ensure_ascii=False, allow_nan=False)
