"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kft.stages.stage import Stage


class BatchNorm(StrEnum):
    """The mode of the backbone's BatchNorm layers."""

    frozen = "frozen"
    train = "train"


_TRAINING = "Training"

RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A recipe of the package `recipes`, such as ResNetRecipe, or your own as "
        "`module:Class`.",
    ),
]
RunDir = Annotated[
    Path, typer.Argument(metavar="RUN", help="The directory of a finished run.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples per step.")]
Views = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="Average over N views of each image: itself, and others flipped and cropped at random.",
    ),
]
TrainingBatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Examples per step. Default: 32.", rich_help_panel=_TRAINING),
]
AutoBatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Examples per step. Default: auto, which is 32, but with the default stages few enough for "
        "10 steps per epoch, at least 8.",
        rich_help_panel=_TRAINING,
    ),
]
BatchNormMode = Annotated[
    BatchNorm | None,
    typer.Option(
        help="Keep the backbone's BatchNorm statistics, or train them with their block. Default: "
        "frozen.",
        rich_help_panel=_TRAINING,
    ),
]
Stages = Annotated[
    Path | None,
    typer.Option(
        help="YAML file with the stages: a list whose entries have unfreeze, epochs, learning_rate "
        "and, optionally, warmup, decay, layer_decay, only, name; the first may have solve. Default: the "
        "recipe's own.",
        rich_help_panel=_TRAINING,
    ),
]


def read_stages(path: Path | None) -> tuple[Stage, ...] | None:
    """Return the stages in a file, None if no file was passed."""
    from kft.stages.stage import read_stages as read

    return None if path is None else read(path)
