"""Fine-tune pretrained Keras models in stages, on TensorFlow, JAX and PyTorch.

Importing this package costs nothing: a public name brings its module, and with it Keras, at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kft import callbacks as callbacks
    from kft import distribution as distribution
    from kft import explain as explain
    from kft import tuning as tuning
    from kft.blocks import find_blocks as find_blocks
    from kft.errors import InputError as InputError
    from kft.errors import KftError as KftError
    from kft.image_recipe import ImageRecipe as ImageRecipe
    from kft.plain_fit import fit_in_stages as fit_in_stages
    from kft.range_test import find_learning_rate as find_learning_rate
    from kft.recipe import Recipe as Recipe
    from kft.saving import load as load
    from kft.stages import Stage as Stage
    from kft.tables import plan_table as plan_table
    from kft.text_recipe import TextRecipe as TextRecipe

__version__ = "0.1.0"

# Public name -> the module that defines it; a name that is a module itself stands for that module.
_HOMES = {
    "ImageRecipe": "kft.image_recipe",
    "InputError": "kft.errors",
    "KftError": "kft.errors",
    "Recipe": "kft.recipe",
    "Stage": "kft.stages",
    "TextRecipe": "kft.text_recipe",
    "callbacks": "kft.callbacks",
    "distribution": "kft.distribution",
    "explain": "kft.explain",
    "find_blocks": "kft.blocks",
    "find_learning_rate": "kft.range_test",
    "fit_in_stages": "kft.plain_fit",
    "load": "kft.saving",
    "plan_table": "kft.tables",
    "tuning": "kft.tuning",
}

__all__ = [
    "ImageRecipe",
    "InputError",
    "KftError",
    "Recipe",
    "Stage",
    "TextRecipe",
    "callbacks",
    "distribution",
    "explain",
    "find_blocks",
    "find_learning_rate",
    "fit_in_stages",
    "load",
    "plan_table",
    "tuning",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kft' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = import_module(home)
    value = getattr(module, name, module)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
