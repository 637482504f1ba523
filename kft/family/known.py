"""Which recipes `load` finds by itself: those that come with kft. A name in a file imports nothing."""

from __future__ import annotations

import dataclasses
import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

from kft.errors import InputError
from kft.import_path import ROOT, path_of_class

_OF_KFT = {
    "kft.cli.demo.recipe:DigitsRecipe": "kft.cli.demo.recipe",
    "kft.recipe.text:TextRecipe": "kft.recipe.text",
}


def title_of(recipe: Any) -> str:
    """Return a recipe as people know it: its class, and the architecture or preset that it has."""
    fields = (field.name for field in dataclasses.fields(recipe) if not field.kw_only)
    first, name = next(fields, None), type(recipe).__name__
    return name if first is None else f"{name}, {getattr(recipe, first)}"


def known_recipe(path: str) -> type | None:
    """Return the class of that path if it comes with kft, otherwise None.

    The path is compared with those of kft's own recipes. It is never imported, so it can come from
    a file of a stranger.

    Args:
        path: `module:Class`.

    Raises:
        InputError: If another package has taken the place of kft's `recipes`.
    """
    package, _, name = path.rpartition(":")
    if path in _OF_KFT:
        return getattr(import_module(_OF_KFT[path]), name)
    if not package.startswith("recipes."):
        return None
    recipes = recipes_package()
    found = getattr(recipes, name) if name in recipes.__all__ else None
    return found if found is not None and path_of_class(found) == path else None


def recipes_package() -> ModuleType:
    """Return the package `recipes` that lies beside kft, whatever else on `sys.path` is called so.

    Raises:
        InputError: If it is missing, or another module of that name has been imported.
    """
    module = sys.modules.get("recipes")
    if module is None:
        spec = PathFinder.find_spec("recipes", [str(ROOT)])
        if spec is None or spec.loader is None:
            raise InputError(f"the package `recipes` is missing from {ROOT}: install kft again.")
        module = sys.modules["recipes"] = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules["recipes"]
            raise
    place = getattr(module, "__file__", None) or "a module without a file"
    if os.path.realpath(place) != os.path.realpath(ROOT / "recipes" / "__init__.py"):
        raise InputError(
            f"`recipes` is {place} in this process, not the package that was installed with kft in "
            f"{ROOT}: rename that module."
        )
    return module
