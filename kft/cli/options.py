"""The options that several commands share, each with its help."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Task(StrEnum):
    """What the labels are."""

    single_label = "single_label"
    multi_label = "multi_label"
    regression = "regression"


class Precision(StrEnum):
    """What a model computes with."""

    float32 = "float32"
    mixed_bfloat16 = "mixed_bfloat16"
    mixed_float16 = "mixed_float16"
    auto = "auto"


class OnBadExample(StrEnum):
    """What to do with a file that cannot be used."""

    error = "error"
    skip = "skip"


_MODEL, _DATA = "Model", "Data"

Recipe = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A recipe of the package `recipes`, such as ResNetRecipe, or one's own as "
        "`module:Class`.",
    ),
]
RunDir = Annotated[
    Path, typer.Argument(metavar="RUN", help="The directory of a finished run.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples a step.")]

# What a recipe's constructor takes. None leaves each recipe its own default.
Model = Annotated[
    str | None,
    typer.Option(
        help="What the recipe takes first: an architecture such as ResNet50, or a preset: its "
        "name, its folder, or a Hugging Face folder.",
        rich_help_panel=_MODEL,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="'imagenet', the path of a weights file, or 'none' to start from scratch.",
        rich_help_panel=_MODEL,
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="N or HxW",
        help="Height and width that images are resized to: 160, or 160x224.",
        rich_help_panel=_MODEL,
    ),
]
Pooling = Annotated[
    str | None,
    typer.Option(
        help="How features become a vector: avg, max, flatten; for text cls, mean, pooler.",
        rich_help_panel=_MODEL,
    ),
]
Hidden = Annotated[
    str | None,
    typer.Option(
        metavar="N[,N...]",
        help="Widths of hidden layers in the head, such as 256 or 256,64.",
        rich_help_panel=_MODEL,
    ),
]
Dropout = Annotated[
    float | None,
    typer.Option(help="Fraction dropped in the head while training.", rich_help_panel=_MODEL),
]
WeightDecay = Annotated[
    float | None,
    typer.Option(
        help="Decoupled weight decay; norms and biases are excluded.", rich_help_panel=_MODEL
    ),
]
LabelSmoothing = Annotated[
    float | None,
    typer.Option(help="Fraction of each target spread over all classes.", rich_help_panel=_MODEL),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other argument of the recipe, as YAML: --set alpha=0.35. Repeatable.",
        rich_help_panel=_MODEL,
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="What the model computes with; auto: the fastest that the accelerator is made for. "
        "Default: float32.",
        rich_help_panel=_MODEL,
    ),
]
TaskOption = Annotated[
    Task,
    typer.Option("--task", help="What the labels are.", rich_help_panel=_MODEL),
]

# How data are read.
TextColumn = Annotated[
    str,
    typer.Option(help="Column of a table with the texts.", rich_help_panel=_DATA),
]
PathColumn = Annotated[
    str,
    typer.Option(
        help="Column of a table with paths of images, relative to the table.",
        rich_help_panel=_DATA,
    ),
]
LabelColumn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Column of a table with the labels, by default `label`; several labels are separated "
        "by |. Repeatable for regression on several numbers.",
        rich_help_panel=_DATA,
    ),
]
Encoding = Annotated[str, typer.Option(help="Encoding of text files.", rich_help_panel=_DATA)]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The largest image accepted, width times height, read from its header.",
        rich_help_panel=_DATA,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        help="Split of a TFDS, such as test or 'train[:80%]'. Default: train.",
        rich_help_panel=_DATA,
    ),
]
OnBad = Annotated[
    OnBadExample,
    typer.Option(
        "--on-bad-example",
        help="Stop at a file that cannot be used, or skip it and list it.",
        rich_help_panel=_DATA,
    ),
]
