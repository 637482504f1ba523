"""The options that several commands share, each with its help, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kft.cli import build

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.data.streams import Stream
    from kft.recipe import Recipe
    from kft.stages import Stage


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


class BatchNorm(StrEnum):
    """What BatchNorm layers of the backbone do."""

    frozen = "frozen"
    train = "train"


_MODEL, _DATA, _TRAINING = "Model", "Data", "Training"

RecipeName = Annotated[
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
BatchNormMode = Annotated[
    BatchNorm,
    typer.Option(
        help="Keep the backbone's BatchNorm statistics, or train them with their block.",
        rich_help_panel=_TRAINING,
    ),
]
Stages = Annotated[
    Path | None,
    typer.Option(
        help="YAML file with the stages: a list of unfreeze, epochs, learning_rate and, if wanted, "
        "warmup, decay, layer_decay, name. Default: the recipe's own.",
        rich_help_panel=_TRAINING,
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
TrainingData = Annotated[
    str,
    typer.Option(
        help="Training data: a folder with a folder per class, a CSV, TSV or Parquet file, a TFDS "
        "name or prepared TFDS directory.",
        rich_help_panel=_DATA,
    ),
]
LabelledData = Annotated[
    str,
    typer.Option(help="Labelled data, of the kinds that `kft fit` takes.", rich_help_panel=_DATA),
]


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a recipe's constructor takes; None leaves each recipe its own default."""

    model: Annotated[
        str | None,
        typer.Option(
            help="What the recipe takes first: an architecture such as ResNet50, or a preset: its "
            "name, its folder, or a Hugging Face folder.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            help="'imagenet', the path of a weights file, or 'none' to start from scratch.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    image_size: ImageSize = None
    task: Annotated[
        Task, typer.Option("--task", help="What the labels are.", rich_help_panel=_MODEL)
    ] = Task.single_label
    pooling: Annotated[
        str | None,
        typer.Option(
            help="How features become a vector: avg, max, flatten; for text cls, mean, pooler.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    hidden: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Widths of hidden layers in the head, such as 256 or 256,64.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    dropout: Annotated[
        float | None,
        typer.Option(help="Fraction dropped in the head while training.", rich_help_panel=_MODEL),
    ] = None
    weight_decay: Annotated[
        float | None,
        typer.Option(
            help="Decoupled weight decay; norms and biases are excluded.", rich_help_panel=_MODEL
        ),
    ] = None
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            help="Fraction of each target spread over all classes.", rich_help_panel=_MODEL
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other argument of the recipe, as YAML: --set alpha=0.35. Repeatable.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    precision: Annotated[
        Precision | None,
        typer.Option(
            "--precision",
            help="What the model computes with; auto: the fastest that the accelerator is made for. "
            "Default: float32.",
            rich_help_panel=_MODEL,
        ),
    ] = None

    def arguments(self, recipe_class: type[Recipe], **others: Any) -> dict[str, Any]:
        """The constructor's arguments.

        Args:
            recipe_class: The recipe's class.
            **others: What else a person gave, None where they did not; these count before the
                options of the same names.
        """
        given = {**vars(self), "task": self.task.value, **others}
        settings = given.pop("settings") or ()
        return build.recipe_arguments(recipe_class, given, settings)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How data are read."""

    text_column: Annotated[
        str, typer.Option(help="Column of a table with the texts.", rich_help_panel=_DATA)
    ] = "text"
    path_column: Annotated[
        str,
        typer.Option(
            help="Column of a table with paths of images, relative to the table.",
            rich_help_panel=_DATA,
        ),
    ] = "path"
    label_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Column of a table with the labels, by default `label`; several labels are "
            "separated by |. Repeatable for regression on several numbers.",
            rich_help_panel=_DATA,
        ),
    ] = None
    encoding: Annotated[
        str, typer.Option(help="Encoding of text files.", rich_help_panel=_DATA)
    ] = "utf-8"
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The largest image accepted, width times height, read from its header.",
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
        OnBadExample,
        typer.Option(
            "--on-bad-example",
            help="Stop at a file that cannot be used, or skip it and list it.",
            rich_help_panel=_DATA,
        ),
    ] = OnBadExample.error

    def read(
        self,
        source: str,
        recipe_class: type[Recipe],
        task: str,
        classes: Sequence[str] | None = None,
        **others: Any,
    ) -> Examples | Stream:
        """The data, with what was skipped said on standard error.

        Args:
            source: What the person passed.
            recipe_class: The recipe that they are for.
            task: The task.
            classes: The classes of the training, for data to validate or test with.
            **others: What counts before the options of the same names.
        """
        return build.read_data(
            source,
            modality=recipe_class.modality,
            task=task,
            classes=classes,
            **{**vars(self), "on_bad_example": self.on_bad_example.value, **others},
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
        float,
        typer.Option(
            help="The part of --data that validates when there are no other data for it.",
            rich_help_panel=_DATA,
        ),
    ] = 0.2


def recipe_and_data(
    name: str, model: Model, reading: Reading, data: str, validation_data: str | None, seed: int
) -> tuple[Recipe, Examples | Stream, Examples | Stream | None]:
    """Read the data, and make the recipe that suits them.

    Args:
        name: The recipe's name.
        model: Its options; the data say `num_classes` if they do not.
        reading: How the data are read; its split is of the training data.
        data: The training data.
        validation_data: The validation data, None for none.
        seed: The recipe's seed.

    Returns:
        The recipe, the training data and the validation data.
    """
    recipe_class, task = build.find_recipe(name), model.task.value
    arguments = model.arguments(recipe_class, seed=seed)
    train = reading.read(data, recipe_class, task, arguments.get("classes"))
    if "num_classes" not in arguments:
        arguments["num_classes"] = build.count_outputs(train, task)
    validation = None
    if validation_data is not None:
        validation = reading.read(validation_data, recipe_class, task, train.classes, split=None)
    return recipe_class(**arguments), train, validation


def read_stages(path: Path | None) -> tuple[Stage, ...] | None:
    """The stages of a file, None where no file was given."""
    from kft.stages import read_stages as read

    return None if path is None else read(path)
