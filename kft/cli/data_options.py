"""Options for reading data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kft.cli import build
from kft.cli.groups import given
from kft.errors import InputError

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.data.streams import Stream
    from kft.data.targets import TargetKind

_DATA = "Data"


class OnBadExample(StrEnum):
    """What to do with unusable files."""

    error = "error"
    skip = "skip"


TrainingData = Annotated[
    str,
    typer.Option(
        help="Training data: a folder with one sub-folder per class, or with train and val folders of "
        "these; a CSV, TSV or Parquet file; a zip or tar archive; for tagging also a CoNLL file, or JSON "
        "lines of texts with entities; for spans SQuAD's JSON, JSON lines or a table of questions with "
        "contexts and answers; for language models a folder of .txt files, or JSON lines of texts, "
        "prompts with answers, or chats; for segmentation a folder with images, and masks or a COCO file; "
        "for detection one in the form of Pascal VOC, COCO or YOLO; "
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
    """Options for how data are read; None leaves the default to `kft.data.read`."""

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
    image_root: Annotated[
        str | None,
        typer.Option(
            help="Folder that paths of images in a table are relative to. Default: that of the table.",
            rich_help_panel=_DATA,
        ),
    ] = None
    label_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Column of a table with the labels; several labels are separated by |. Repeatable "
            "for regression on several numbers, and for columns of 0 and 1 that are called like several "
            "labels. Default: label.",
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
        """Read data, and list skipped examples on standard error.

        Args:
            source: The data as passed on the command line.
            recipe_class: The recipe that they are for.
            task: The task.
            classes: The classes of the training data, for validation or test data.
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
    """Options for the validation data of a fit."""

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
            help="Fraction of --data to validate on if there is no --validation-data. Default: "
            "0.2.",
            rich_help_panel=_DATA,
        ),
    ] = None
    groups: Annotated[
        str | None,
        typer.Option(
            "--group-column",
            help="Column of a table, such as person, whose equal values are either all trained on or "
            "all validated on. Default: none.",
            rich_help_panel=_DATA,
        ),
    ] = None
    order: Annotated[
        str | None,
        typer.Option(
            "--time-column",
            help="Column of a table with dates or numbers, by which the latest examples are validated "
            "on. Default: none.",
            rich_help_panel=_DATA,
        ),
    ] = None

    def split_by(self) -> dict[str, str]:
        """Return the columns by which the training data are split, as arguments of `kft.data.read`.

        Raises:
            InputError: If the training data are not split.
        """
        found = given(groups=self.groups, order=self.order)
        if found and self.validation_data is not None:
            raise InputError(
                "--group-column and --time-column define how --data are split, but with "
                "--validation-data they are not: leave one out."
            )
        return found
