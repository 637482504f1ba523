"""Options of the model: what a recipe starts from, and the arguments of its constructor."""

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
    """What the labels are."""

    single_label = "single_label"
    multi_label = "multi_label"
    regression = "regression"
    next_token = "next_token"
    segmentation = "segmentation"
    spans = "spans"
    tagging = "tagging"


class Precision(StrEnum):
    """What a model computes with."""

    float32 = "float32"
    mixed_bfloat16 = "mixed_bfloat16"
    mixed_float16 = "mixed_float16"
    auto = "auto"


ImageSize = Annotated[
    str | None,
    typer.Option(
        metavar="N or HxW",
        help="Height and width that images are resized to: 160, or 160x224. Default: the recipe's "
        "own, mostly 224.",
        rich_help_panel=_MODEL,
    ),
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
            help="Weights to start from: imagenet, or the path of a weights file; preset where a preset "
            "holds them; or none for random ones. Default: the pretrained ones, imagenet or preset.",
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
            "dice=1.0 of segmentation. Repeatable.",
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
            "--task",
            help="What the labels are; segmentation: a class for each pixel; tagging: a tag for each "
            "word; spans: answers in a context; next_token: none, of a language model. Default: "
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
            help="Only the top so many blocks get adapters, and what lies below can be computed once. "
            "Default: all.",
            rich_help_panel=_MODEL,
        ),
    ] = None

    def arguments(
        self, recipe_class: type[Recipe], own: Sequence[str] = (), **others: Any
    ) -> dict[str, Any]:
        """Return the constructor's arguments that were given, adapters among them."""
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
