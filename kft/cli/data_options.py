"""Options of the data: which are read, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kft.cli import build
from kft.cli.groups import given

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.data.streams import Stream
    from kft.data.targets import TargetKind

_DATA = "Data"


class OnBadExample(StrEnum):
    """What to do with a file that cannot be used."""

    error = "error"
    skip = "skip"


TrainingData = Annotated[
    str,
    typer.Option(
        help="Training data: a folder with one sub-folder per class; a CSV, TSV or Parquet file; for "
        "tagging also a CoNLL file, or JSON lines of texts with entities; for language models a folder "
        "of .txt files, or JSON lines of texts, prompts with answers, or chats; "
        "the name of a TFDS, or a prepared TFDS directory.",
        rich_help_panel=_DATA,
    ),
]
LabelledData = Annotated[
    str,
    typer.Option(help="Labelled data, of the kinds that `kft fit` takes.", rich_help_panel=_DATA),
]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How data are read; None leaves `kft.data.read` its own default."""

    text_column: Annotated[
        str | None,
        typer.Option(
            help="Column of a table with the texts. Default: text.", rich_help_panel=_DATA
        ),
    ] = None
    path_column: Annotated[
        str | None,
        typer.Option(
            help="Column of a table with paths of images, relative to the table. Default: path.",
            rich_help_panel=_DATA,
        ),
    ] = None
    label_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Column of a table with the labels; several labels are separated by |. Repeatable "
            "for regression on several numbers. Default: label.",
            rich_help_panel=_DATA,
        ),
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(help="Encoding of text files. Default: utf-8.", rich_help_panel=_DATA),
    ] = None
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The largest image accepted, width times height, read from its header. Default: "
            "50000000.",
            rich_help_panel=_DATA,
        ),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of a TFDS, such as test or 'train[:80%]'. Default: train.",
            rich_help_panel=_DATA,
        ),
    ] = None
    on_bad_example: Annotated[
        OnBadExample | None,
        typer.Option(
            "--on-bad-example",
            help="Stop at a file that cannot be used, or skip it and list it. Default: error.",
            rich_help_panel=_DATA,
        ),
    ] = None

    def read(
        self,
        source: str,
        recipe_class: Any,
        task: TargetKind,
        classes: Any = None,
        **others: Any,
    ) -> Examples | Stream:
        """Read data, and list on standard error what was skipped.

        Args:
            source: What the person passed.
            recipe_class: The recipe that they are for.
            task: The task.
            classes: The classes of the training, for data to validate or test with.
            **others: Values that override the options of the same names.
        """
        return build.read_data(
            source,
            modality=recipe_class.modality,
            task=task,
            classes=classes,
            **given(**{**vars(self), **others}),
        )


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a fit is validated with."""

    validation_data: Annotated[
        str | None,
        typer.Option(
            help="Validation data of the same kinds. Default: a part of --data.",
            rich_help_panel=_DATA,
        ),
    ] = None
    validation_split: Annotated[
        float | None,
        typer.Option(
            help="Fraction of --data to validate on where there is no --validation-data. Default: "
            "0.2.",
            rich_help_panel=_DATA,
        ),
    ] = None
