"""The recipes that `load` finds without being told: those of kft. A name in a file imports nothing."""

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
    """Return the title of a recipe: its class, and its architecture or preset."""
    fields = (field.name for field in dataclasses.fields(recipe) if not field.kw_only)
    first, name = next(fields, None), type(recipe).__name__
    return name if first is None else f"{name}, {getattr(recipe, first)}"


def known_recipe(path: str) -> type | None:
    """Return the class with a path if it is one of kft's own, otherwise None.

    The path is only compared with those of kft's recipes, never imported, so it may come from an
    untrusted file.

    Args:
        path: `module:Class`.

    Raises:
        InputError: If another package shadows kft's `recipes`.
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
    """Return the package `recipes` that was installed with kft, whatever else on `sys.path` has that name.

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
