"""Recipes: one module a model family, each a class with its backbone, preprocessing and stages.

Importing this package costs nothing: a recipe brings its module, and with it Keras, at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recipes.application import ApplicationRecipe
    from recipes.bert import BertRecipe
    from recipes.inception_v3 import InceptionV3Recipe
    from recipes.mobilenet import MobileNetRecipe
    from recipes.resnet import ResNetRecipe
    from recipes.vgg16 import VGG16Recipe

_HOMES = {
    "ApplicationRecipe": "recipes.application",
    "BertRecipe": "recipes.bert",
    "InceptionV3Recipe": "recipes.inception_v3",
    "MobileNetRecipe": "recipes.mobilenet",
    "ResNetRecipe": "recipes.resnet",
    "VGG16Recipe": "recipes.vgg16",
}

__all__ = [
    "ApplicationRecipe",
    "BertRecipe",
    "InceptionV3Recipe",
    "MobileNetRecipe",
    "ResNetRecipe",
    "VGG16Recipe",
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
