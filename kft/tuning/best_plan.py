"""How to train the best plan of a search, in Python."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from kft.callbacks import RelativeEarlyStopping
from kft.family.fit_data import is_fraction
from kft.family.hooks import Family
from kft.family.policies import BestEpoch
from kft.tasks.forms import differing, short_name

if TYPE_CHECKING:
    from kft.tuning.result import Search

BEST = "best"  # the directory of that run, in the directory of the search
_RULE = ("min_delta", "patience", "mode", "baseline", "restore_best_weights", "start_from_epoch")
_RULES: dict[type, str] = {
    keras.callbacks.EarlyStopping: "keras.callbacks.EarlyStopping",
    RelativeEarlyStopping: "kft.callbacks.RelativeEarlyStopping",
}
_SAME_RESULT = ("cache", "distribution")  # settings that change how fast a fit is, and no weights


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a search was called with that its recipe and its settings do not tell.

    Attributes:
        train: The path or the name of the training data; None if they were passed themselves.
        validation_data: The same for the validation data.
        has_validation_data: Whether there were any, rather than a part of `train`.
        fraction: The part of `train` that validates without them.
        on_bad_example: What became of bad examples.
        classes: The names of the classes, or a dict of them; None where the data named them.
    """

    train: str | None = None
    validation_data: str | None = None
    has_validation_data: bool = False
    fraction: float = 0.2
    on_bad_example: str = "error"
    classes: Any = None

    @classmethod
    def of(cls, recipe: Family, train: Any, validation_data: Any, on_bad: str) -> Asked:
        """Note how a search was called, before the data name the recipe's classes."""
        split = is_fraction(validation_data)
        return cls(
            train=_path(train),
            validation_data=_path(validation_data),
            has_validation_data=not split,
            fraction=float(validation_data) if split else cls.fraction,
            on_bad_example=on_bad,
            classes=recipe.classes,
        )


def fit_settings(search: Search) -> dict[str, Any]:
    """Return the arguments of `Recipe.fit` besides data, stages and directory that differ from its own.

    Args:
        search: The search.
    """
    chosen = {name: v for name, v in search.settings.items() if name not in _SAME_RESULT}
    if search.best_trial.augment is not None:  # none is what `fit` does with stages
        chosen["augment"] = search.best_trial.augment
    chosen["restore_best"] = BestEpoch(monitor=(search.objective.name, search.objective.direction))
    if not search.asked.has_validation_data:
        chosen["validation_data"] = search.asked.fraction
    chosen["on_bad_example"] = search.asked.on_bad_example
    own = inspect.signature(type(search.recipe).fit).parameters
    return {
        name: value
        for name, value in chosen.items()
        if name not in own or value != own[name].default
    }


def python_call(search: Search, stages: str, run_dir: str) -> str:
    """Return Python that trains the best plan.

    Data that were passed as a path are named; others are called `train` and `validation_data`, as
    in the call of `tune`.

    Args:
        search: The search.
        stages: The file with the stages.
        run_dir: The directory of the run.
    """
    asked, settings = search.asked, fit_settings(search)
    data = [_named("train", asked.train)]
    if asked.has_validation_data:
        data.append(_named("validation_data", asked.validation_data))
    rest = {"stages": f"read_stages({stages!r})", "run_dir": repr(run_dir)}
    rest |= {name: _spelled(value) for name, value in settings.items()}
    arguments = [*data, *(f"{name}={value}" for name, value in rest.items())]
    rule = _RULES.get(type(settings.get("early_stopping")), "kft")
    imports = [f"import {one}" for one in sorted({"kft", rule.partition(".")[0]}, reverse=True)]
    imports += ["from kft.stages.stage import read_stages", *_import(type(search.recipe))]
    if short_name(search.recipe.task) is None:
        imports += ["from kft.tasks import *", *_import(type(search.recipe.task))]
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return "\n".join(imports) + f"\n\nrecipe = {_constructed(search)}\nrun = recipe.fit(\n{inner})"


def _constructed(search: Search) -> str:
    """The call that makes the best trial's recipe."""
    recipe = search.new_recipe()
    known: Mapping[str, Any] = {"classes": search.asked.classes, **differing(recipe.task)}
    words = []
    for field in dataclasses.fields(recipe):
        value = known.get(field.name, getattr(recipe, field.name))
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if field.init and value != default:
            words.append(f"{field.name}={value!r}" if field.kw_only else repr(value))
    name = type(recipe).__qualname__.rpartition("<locals>.")[2]
    return f"{name}({', '.join(words)})"


def _import(recipe_class: type) -> list[str]:
    """What brings the class, from the package that shows it if one does."""
    module, name = recipe_class.__module__, recipe_class.__qualname__.partition(".")[0]
    if module == "__main__" or "<locals>" in recipe_class.__qualname__:
        return []  # nobody but whoever called `tune` can name it
    package = module.partition(".")[0]
    if getattr(sys.modules.get(package), name, None) is recipe_class:
        module = package
    return [f"from {module} import {name}"]


def _named(name: str, path: str | None) -> str:
    return name if path is None else repr(path)


def _spelled(value: Any) -> str:
    if isinstance(value, BestEpoch):
        return f"kft.BestEpoch(monitor={value.monitor!r})"
    if not isinstance(value, keras.callbacks.EarlyStopping):
        return repr(value)
    if type(value) not in _RULES:
        return "early_stopping"  # a class of whoever called `tune`
    given = {name: getattr(value, name) for name in _RULE}
    given["min_delta"] = abs(value.min_delta)  # Keras turns its sign where less is better
    if isinstance(value, RelativeEarlyStopping):
        given["min_delta"] = value.fraction
    defaults = inspect.signature(type(value)).parameters
    words = [
        f"{name}={v!r}"
        for name, v in given.items()
        if name in defaults and v != defaults[name].default
    ]
    return f"{_RULES[type(value)]}({', '.join([repr(value.monitor), *words])})"


def _path(data: Any) -> str | None:
    return str(data) if isinstance(data, str | os.PathLike) else None
