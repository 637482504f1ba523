"""`kft export`: write a version, check one, keep the newest."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kft.cli.open_run import RunRecipe, RunTask, named_class, named_tasks
from kft.errors import InputError
from kft.runs.places import check_run

_INPUTS, _VERSIONS = "Check and warmup", "Existing versions"


class Format(StrEnum):
    """The format of an export."""

    saved_model = "saved_model"
    onnx = "onnx"
    litert = "litert"
    openvino = "openvino"


class Stored(StrEnum):
    """How an export stores its weights."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


def export(
    context: typer.Context,
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="The directory of a finished run. Leave it out with --check, and to --prune only.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="The directory of the versions, a server's base path. The export gets the next "
            "number in it.",
            show_default=False,
        ),
    ] = None,
    recipe: RunRecipe = None,
    task: RunTask = None,
    format: Annotated[Format, typer.Option(help="Format of the export.")] = Format.saved_model,
    weights: Annotated[Stored, typer.Option(help="How to store the weights.")] = Stored.float32,
    data: Annotated[
        str | None,
        typer.Option(help="Labelled data, to evaluate the effect of smaller weights."),
    ] = None,
    clients: Annotated[
        bool,
        typer.Option("--clients", help="Also write a server configuration and example clients."),
    ] = False,
    examples: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="An image, or a text file with one text, for the check and the warmup. Repeatable. "
            "Default: the training inputs that the run kept.",
            rich_help_panel=_INPUTS,
        ),
    ] = None,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            help="Batch size of a warmup request. Repeatable. Default: 1, 2 and 8.",
            rich_help_panel=_INPUTS,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Export nothing. Check the version DIR, or the newest one in DIR; if it does not "
            "serve, print why and exit with code 2. Safe for versions from elsewhere.",
            rich_help_panel=_VERSIONS,
        ),
    ] = False,
    prune: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Keep only the newest N versions in DIR: after an export, or without RUN by "
            "itself.",
            show_default=False,
            rich_help_panel=_VERSIONS,
        ),
    ] = None,
) -> None:
    """Export a run as the next version for a model server.

    The version is checked before it becomes visible.

    kft export runs/photos serving/photos --prune 3

    kft export --check serving/photos
    """
    paths = [path for path in (run, directory) if path is not None]
    mode = "--check" if check else "--prune without RUN" if prune and len(paths) < 2 else None
    if mode is not None:
        _refuse_settings(context, mode)
        (base,) = _named(paths, 1, f"{mode} takes DIR, a directory of versions")
    else:
        source, base = _named(paths, 2, "an export takes RUN and DIR")
    if check:
        _check(base)
        return
    if mode is None:
        _export(
            source,
            base,
            recipe=named_class(recipe),
            task=named_tasks(task),
            format=format.value,
            weights=weights.value,
            data=data,
            clients=clients,
            examples=_read(examples or []),
            batch_sizes=batch_size,
        )
    if prune is not None:
        from kft.export.versions import prune as remove

        for path in remove(base, prune):
            typer.echo(f"removed {path}", err=True)


def _export(run: Path, base: Path, *, batch_sizes: list[int] | None, **options: object) -> None:
    check_run(run)  # before Keras is imported
    from kft.export import clients
    from kft.export.launch import BATCH_SIZES, export_run

    version = export_run(run, base, batch_sizes=batch_sizes or BATCH_SIZES, **options)  # type: ignore[arg-type]
    typer.echo(str(version))
    if options["format"] == "saved_model":
        text_of = clients.written if options["clients"] else clients.instructions
        typer.echo(text_of(version), err=True)


def _check(directory: Path) -> None:
    from kft.export.launch import check_version
    from kft.export.versions import find_version

    version = find_version(directory)
    reasons = check_version(version)
    typer.echo(f"{version} {'does not serve:' if reasons else 'serves.'}")
    for reason in reasons:
        typer.echo(f"- {reason}")
    if reasons:
        raise typer.Exit(2)  # as each command that is given a damaged version


def _named(paths: list[Path], count: int, expected: str) -> list[Path]:
    if len(paths) != count:
        given = " and ".join(map(str, paths)) or "none"
        raise InputError(f"{expected}, but was given {given}.")
    return paths


def _refuse_settings(context: typer.Context, mode: str) -> None:
    """Refuse the options of an export if none is made."""
    allowed = {"run", "directory", "check" if mode == "--check" else "prune"}
    for name in sorted(set(context.params) - allowed):
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            option = name.replace("_", "-")
            raise InputError(
                f"--{option} goes with an export, but {mode} makes none: leave it out."
            )


def _read(files: list[Path]) -> list[bytes] | None:
    for file in files:
        if not os.path.isfile(file):  # a device or a pipe may have no end
            raise InputError(f"--examples {file}: No such file, or not a regular one.")
    try:
        return [file.read_bytes() for file in files] or None
    except OSError as error:
        raise InputError(f"--examples {error.filename}: {error.strerror}.") from error
