"""Recipes: one module per model family, each a class with its backbone, preprocessing and stages.

Importing this package is cheap: a recipe imports its module, and with it Keras, on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recipes.application import ApplicationRecipe
    from recipes.bert import BertRecipe
    from recipes.causal_lm import CausalLMRecipe, GPT2Recipe, LlamaRecipe
    from recipes.encoder import (
        AlbertRecipe,
        DebertaV3Recipe,
        DistilBertRecipe,
        ElectraRecipe,
        EncoderRecipe,
        FNetRecipe,
        RobertaRecipe,
        XLMRobertaRecipe,
    )
    from recipes.image_backbone import ImageBackboneRecipe
    from recipes.inception_v3 import InceptionV3Recipe
    from recipes.mobilenet import MobileNetRecipe
    from recipes.resnet import ResNetRecipe
    from recipes.vgg16 import VGG16Recipe
    from recipes.video import VideoRecipe

_HOMES = {
    "AlbertRecipe": "recipes.encoder",
    "ApplicationRecipe": "recipes.application",
    "BertRecipe": "recipes.bert",
    "CausalLMRecipe": "recipes.causal_lm",
    "DebertaV3Recipe": "recipes.encoder",
    "DistilBertRecipe": "recipes.encoder",
    "ElectraRecipe": "recipes.encoder",
    "EncoderRecipe": "recipes.encoder",
    "FNetRecipe": "recipes.encoder",
    "GPT2Recipe": "recipes.causal_lm",
    "ImageBackboneRecipe": "recipes.image_backbone",
    "InceptionV3Recipe": "recipes.inception_v3",
    "LlamaRecipe": "recipes.causal_lm",
    "MobileNetRecipe": "recipes.mobilenet",
    "ResNetRecipe": "recipes.resnet",
    "RobertaRecipe": "recipes.encoder",
    "VGG16Recipe": "recipes.vgg16",
    "VideoRecipe": "recipes.video",
    "XLMRobertaRecipe": "recipes.encoder",
}

__all__ = [
    "AlbertRecipe",
    "ApplicationRecipe",
    "BertRecipe",
    "CausalLMRecipe",
    "DebertaV3Recipe",
    "DistilBertRecipe",
    "ElectraRecipe",
    "EncoderRecipe",
    "FNetRecipe",
    "GPT2Recipe",
    "ImageBackboneRecipe",
    "InceptionV3Recipe",
    "LlamaRecipe",
    "MobileNetRecipe",
    "ResNetRecipe",
    "RobertaRecipe",
    "VGG16Recipe",
    "VideoRecipe",
    "XLMRobertaRecipe",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(
            f"module 'recipes' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    globals()[name] = value = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
