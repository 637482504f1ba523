"""`kft generate`: text generation with the language model of a run."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from kft.cli import options as o
from kft.cli.groups import given
from kft.cli.open_run import RunRecipe, RunTask, open_recipe
from kft.cli.outputs import ANSWERS, check_one_outcome, check_output
from kft.errors import InputError

_OUTCOME = "Outcome"


def generate(
    run: o.RunDir,
    prompt: Annotated[
        list[str], typer.Option(help="A text to continue. Repeatable.", show_default=False)
    ],
    recipe: RunRecipe = None,
    task: RunTask = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="The maximum of tokens per continuation. Default: 64.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Below 1 probable tokens become more probable; 0 always chooses the most probable "
            "one. Default: 1.0.",
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Sample from this number of most probable tokens. Default: all."),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Sample from the most probable tokens with this total probability. Default: 1.0.",
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A text at which a continuation ends. Repeatable. Default: only the model's own "
            "end token.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of sampling. Default: 0.")] = None,
    batch_size: o.BatchSize = 32,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write prompts and continuations to a file that ends in .csv, .tsv, .jsonl or "
            ".parquet. Default: print them.",
            rich_help_panel=_OUTCOME,
        ),
    ] = None,
    json: o.Json = False,
) -> None:
    """Continue texts with the language model of a run.

    kft generate runs/stories --prompt "Once upon a time" --max-new-tokens 100 --top-k 40
    """
    check_output("--output", output, ANSWERS)
    check_one_outcome(json, output)
    opened = open_recipe(run, recipe, task)
    write = getattr(opened, "generate", None)
    if write is None:
        raise InputError(
            f"{run}: {type(opened).__name__} writes no texts; pass the run of a language model, such as "
            "one of CausalLMRecipe."
        )
    options = given(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        stop=stop,
        seed=seed,
    )
    written = write(prompt, batch_size=batch_size, **options)
    if output is not None:
        typer.echo(f"{len(written):,} continuations: {written.write(output)}")
    elif json:
        typer.echo(json_module.dumps(written.to_dict(), ensure_ascii=False))
    else:
        for text, continuation in zip(prompt, written, strict=True):
            typer.echo(f"{typer.style(text, bold=True)}{continuation}\n")
