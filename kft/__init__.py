"""Fine-tune pretrained Keras models in stages, on TensorFlow, JAX and PyTorch.

Importing this package is cheap: a public name imports its module, and with it Keras, on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kft import callbacks as callbacks
    from kft import distribution as distribution
    from kft import tasks as tasks
    from kft import testing as testing
    from kft import tuning as tuning
    from kft.cache.settings import Cache as Cache
    from kft.errors import InputError as InputError
    from kft.errors import KftError as KftError
    from kft.family.policies import BestEpoch as BestEpoch
    from kft.family.policies import Finish as Finish
    from kft.family.policies import Resume as Resume
    from kft.family.saving import load as load
    from kft.insight import explain as explain
    from kft.insight.cross_validation import cross_validate as cross_validate
    from kft.insight.fit_plan import plan_fit as plan_fit
    from kft.insight.range_test import find_learning_rate as find_learning_rate
    from kft.model.blocks import find_blocks as find_blocks
    from kft.model.lora import LoRA as LoRA
    from kft.recipe.image import ImageRecipe as ImageRecipe
    from kft.recipe.recipe import Recipe as Recipe
    from kft.recipe.text import TextRecipe as TextRecipe
    from kft.runs.card import model_card as model_card
    from kft.stages.stage import Stage as Stage
    from kft.stages.table import plan_table as plan_table
    from kft.training.plain import fit_in_stages as fit_in_stages

__version__ = "0.1.0"

# Public name -> the module that defines it, or that module itself.
_HOMES = {
    "BestEpoch": "kft.family.policies",
    "Cache": "kft.cache.settings",
    "Finish": "kft.family.policies",
    "ImageRecipe": "kft.recipe.image",
    "InputError": "kft.errors",
    "KftError": "kft.errors",
    "LoRA": "kft.model.lora",
    "Recipe": "kft.recipe.recipe",
    "Resume": "kft.family.policies",
    "Stage": "kft.stages.stage",
    "TextRecipe": "kft.recipe.text",
    "callbacks": "kft.callbacks",
    "cross_validate": "kft.insight.cross_validation",
    "distribution": "kft.distribution",
    "explain": "kft.insight.explain",
    "find_blocks": "kft.model.blocks",
    "find_learning_rate": "kft.insight.range_test",
    "fit_in_stages": "kft.training.plain",
    "load": "kft.family.saving",
    "model_card": "kft.runs.card",
    "plan_fit": "kft.insight.fit_plan",
    "plan_table": "kft.stages.table",
    "tasks": "kft.tasks",
    "testing": "kft.testing",
    "tuning": "kft.tuning",
}

__all__ = [
    "BestEpoch",
    "Cache",
    "Finish",
    "ImageRecipe",
    "InputError",
    "KftError",
    "LoRA",
    "Recipe",
    "Resume",
    "Stage",
    "TextRecipe",
    "callbacks",
    "cross_validate",
    "distribution",
    "explain",
    "find_blocks",
    "find_learning_rate",
    "fit_in_stages",
    "load",
    "model_card",
    "plan_fit",
    "plan_table",
    "tasks",
    "testing",
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
