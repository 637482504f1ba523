"""The options that several commands share, each with its help, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kft.cli import build
from kft.cli.groups import given

if TYPE_CHECKING:
    from kft.data.examples import Examples
    from kft.data.streams import Stream
    from kft.data.targets import TargetKind
    from kft.recipe.recipe import Recipe
    from kft.stages.stage import Stage


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
        help="A recipe of the package `recipes`, such as ResNetRecipe, or your own as "
        "`module:Class`.",
    ),
]
RunDir = Annotated[
    Path, typer.Argument(metavar="RUN", help="The directory of a finished run.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples per step.")]
TrainingBatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Examples per step. Default: 32.", rich_help_panel=_TRAINING),
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
        "and, if wanted, warmup, decay, layer_decay, name; the first may have solve. Default: the recipe's own.",
        rich_help_panel=_TRAINING,
    ),
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="N or HxW",
        help="Height and width that images are resized to: 160, or 160x224. Default: the recipe's "
        "own, mostly 224.",
        rich_help_panel=_MODEL,
    ),
]
TrainingData = Annotated[
    str,
    typer.Option(
        help="Training data: a folder with one sub-folder per class; a CSV, TSV or Parquet file; "
        "the name of a TFDS, or a prepared TFDS directory.",
        rich_help_panel=_DATA,
    ),
]
LabelledData = Annotated[
    str,
    typer.Option(help="Labelled data, of the kinds that `kft fit` takes.", rich_help_panel=_DATA),
]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """What a recipe starts from; None leaves each recipe its own default."""

    model: Annotated[
        str | None,
        typer.Option(
            help="The recipe's first argument: an architecture such as ResNet50, or a preset: its "
            "name, its folder, or a Hugging Face folder. Default: the recipe's own, if it has one.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from: imagenet, or the path of a weights file; preset for texts; "
            "or none for random ones. Default: the pretrained ones, imagenet or preset.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    image_size: ImageSize = None
    pooling: Annotated[
        str | None,
        typer.Option(
            help="How features become a vector: avg, max or flatten; for texts cls, mean or "
            "pooler. Default: avg; for texts mean.",
            rich_help_panel=_MODEL,
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
            "Default: Keras' dtype policy, float32 unless it was set.",
            rich_help_panel=_MODEL,
        ),
    ] = None

    def arguments(
        self, recipe_class: type[Recipe], own: Sequence[str] = (), **others: Any
    ) -> dict[str, Any]:
        """Return the constructor's arguments that were given.

        Args:
            recipe_class: The recipe's class.
            own: `NAME=VALUE` texts that override the options.
            **others: Other arguments, None where they were not given; they override the options of
                the same names.
        """
        options = given(**{**vars(self), **others})
        return build.recipe_arguments(recipe_class, options, options.pop("settings", ()), own)


@dataclass(frozen=True, kw_only=True)
class Model(Backbone):
    """Arguments of a recipe's constructor; None leaves each recipe its own default."""

    task: Annotated[
        Task | None,
        typer.Option(
            "--task", help="What the labels are. Default: single_label.", rich_help_panel=_MODEL
        ),
    ] = None
    hidden: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Widths of hidden layers in the head, such as 256 or 256,64. Default: no hidden "
            "layer.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    dropout: Annotated[
        float | None,
        typer.Option(
            help="Fraction dropped in the head while training. Default: 0.2.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    weight_decay: Annotated[
        float | None,
        typer.Option(
            help="Decoupled weight decay; norms and biases are excluded. Default: 0.01.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            help="Fraction of each target spread over all classes. Default: 0.0.",
            rich_help_panel=_MODEL,
        ),
    ] = None


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


def recipe_and_data(
    name: str,
    model: Model,
    reading: Reading,
    data: str,
    validation_data: str | None,
    seed: int | None,
) -> tuple[Recipe, Examples | Stream, Examples | Stream | None]:
    """Read the data, and make the recipe that suits them.

    Args:
        name: The recipe's name.
        model: Its options; the data say `num_classes` if they do not.
        reading: How the data are read; its split is of the training data.
        data: The training data.
        validation_data: The validation data, None for none.
        seed: The recipe's seed, None for its default.

    Returns:
        The recipe, the training data and the validation data.
    """
    recipe_class = build.find_recipe(name)
    arguments = model.arguments(recipe_class, seed=seed)
    sketch = build.sketch(recipe_class, arguments)  # wrong arguments are refused before reading
    train = reading.read(data, recipe_class, sketch.task, sketch.classes)
    if build.data_say_count(recipe_class, arguments):
        arguments["num_classes"] = build.count_outputs(train, sketch.task)
    validation = None
    if validation_data is not None:
        validation = reading.read(
            validation_data, recipe_class, sketch.task, train.classes, split=None
        )
    recipe = recipe_class(**arguments)
    build.say_if_random(recipe)
    return recipe, train, validation


def read_stages(path: Path | None) -> tuple[Stage, ...] | None:
    """Return the stages of a file, None where no file was given."""
    from kft.stages.stage import read_stages as read

    return None if path is None else read(path)
