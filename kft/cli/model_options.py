"""Options for the model: the arguments of a recipe's constructor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kft.cli import build
from kft.cli.groups import given

if TYPE_CHECKING:
    from kft.recipe.recipe import Recipe

_MODEL = "Model"


class Task(StrEnum):
    """The kinds of labels."""

    single_label = "single_label"
    multi_label = "multi_label"
    regression = "regression"
    next_token = "next_token"
    detection = "detection"
    segmentation = "segmentation"
    spans = "spans"
    tagging = "tagging"


class Precision(StrEnum):
    """The precision of computation."""

    float32 = "float32"
    mixed_bfloat16 = "mixed_bfloat16"
    mixed_float16 = "mixed_float16"
    auto = "auto"


ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="N or HxW",
        help="Height and width to which images are resized: 160, or 160x224. Default: the recipe's "
        "own, mostly 224.",
        rich_help_panel=_MODEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """Options for the pretrained model; None leaves the default to each recipe."""

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
            help="Weights to start from: imagenet, or the path of a weights file; preset for those of a "
            "preset; or none for random ones. Default: the pretrained ones, imagenet or preset.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    image_size: ImageSize = None
    pooling: Annotated[
        str | None,
        typer.Option(
            help="How features become a vector: avg, max or flatten of maps; cls or mean of tokens, of "
            "texts also pooler. Default: avg of maps, mean of texts.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other argument of the recipe or its task, as YAML: --set alpha=0.35, --set "
            "dice=1.0 for segmentation. Repeatable.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    precision: Annotated[
        Precision | None,
        typer.Option(
            "--precision",
            help="The precision of computation; auto: the fastest that the accelerator supports. "
            "Default: Keras' dtype policy, float32 unless it was set.",
            rich_help_panel=_MODEL,
        ),
    ] = None

    def arguments(
        self, recipe_class: type[Recipe], own: Sequence[str] = (), **others: Any
    ) -> dict[str, Any]:
        """Return the constructor's arguments that were passed.

        Args:
            recipe_class: The recipe's class.
            own: `NAME=VALUE` texts that override the options.
            **others: Other arguments, None if they were not passed; they override the options of
                the same names.
        """
        options = given(**{**vars(self), **others})
        return build.recipe_arguments(recipe_class, options, options.pop("settings", ()), own)


@dataclass(frozen=True, kw_only=True)
class Model(Backbone):
    """Options for a recipe's constructor; None leaves the default to each recipe."""

    task: Annotated[
        Task | None,
        typer.Option(
            "--task",
            help="The kind of labels; segmentation: a class for each pixel; detection: boxes; tagging: a tag "
            "for each word; spans: answers in a context; next_token: no labels, for a language model. Default: "
            "single_label; for language models next_token.",
            rich_help_panel=_MODEL,
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
            help="Fraction dropped in the head while training. Default: 0.2; for tagging and spans "
            "0.1.",
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
    lora_rank: Annotated[
        int | None,
        typer.Option(
            help="Give layers of the backbone low-rank adapters of this rank, which train in their "
            "place. Default: none, or 8 with another --lora option.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    lora_alpha: Annotated[
        float | None,
        typer.Option(
            help="What adapters add is multiplied by this and divided by the rank. Default: the rank.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    lora_layers: Annotated[
        str | None,
        typer.Option(
            metavar="KIND|PATTERN[,...]",
            help="Which layers get adapters: attention, dense, embedding, conv, or patterns of names "
            "such as query,value. Default: dense, or conv where there are none.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    lora_blocks: Annotated[
        int | None,
        typer.Option(
            help="Only this many top blocks get adapters, and the output below can be cached. "
            "Default: all.",
            rich_help_panel=_MODEL,
        ),
    ] = None

    def arguments(
        self, recipe_class: type[Recipe], own: Sequence[str] = (), **others: Any
    ) -> dict[str, Any]:
        """Return the constructor's arguments that were passed, including adapters."""
        layers = None if self.lora_layers is None else self.lora_layers.split(",")
        adapters = given(
            rank=self.lora_rank, alpha=self.lora_alpha, layers=layers, blocks=self.lora_blocks
        )
        parts = dict.fromkeys(("lora_rank", "lora_alpha", "lora_layers", "lora_blocks"))
        return super().arguments(recipe_class, own, **parts, adapters=_lora(adapters), **others)


def _lora(parts: dict[str, Any]) -> Any:
    if not parts:
        return None
    from kft.model.lora import LoRA

    return LoRA(**parts)
