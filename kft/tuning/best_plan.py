"""The Python code that trains the best plan of a search."""

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

BEST = "best"  # the directory of that run, within the directory of the search
_RULE = ("min_delta", "patience", "mode", "baseline", "restore_best_weights", "start_from_epoch")
_RULES: dict[type, str] = {
    keras.callbacks.EarlyStopping: "keras.callbacks.EarlyStopping",
    RelativeEarlyStopping: "kft.callbacks.RelativeEarlyStopping",
}
_SAME_RESULT = ("cache", "distribution")  # settings that affect speed but not the weights


@dataclasses.dataclass(frozen=True)
class Asked:
    """The arguments of a search that its recipe and its settings do not record.

    Attributes:
        train: The path or the name of the training data; None if the data themselves were passed.
        validation_data: The same for the validation data.
        has_validation_data: Whether validation data were passed, rather than split off `train`.
        fraction: The fraction of `train` that was split off otherwise.
        on_bad_example: How bad examples were handled.
        classes: The names of the classes, or a dict of them; None if the data named them.
    """

    train: str | None = None
    validation_data: str | None = None
    has_validation_data: bool = False
    fraction: float = 0.2
    on_bad_example: str = "error"
    classes: Any = None

    @classmethod
    def of(cls, recipe: Family, train: Any, validation_data: Any, on_bad: str) -> Asked:
        """Record the arguments of a search before the recipe takes class names from the data."""
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
    """Return the arguments of `Recipe.fit` that differ from its defaults.

    Data, stages and directory are left out.

    Args:
        search: The search.
    """
    chosen = {name: v for name, v in search.settings.items() if name not in _SAME_RESULT}
    if search.best_trial.augment is not None:  # with stages, `fit` does not augment by default
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
    """Return Python code that trains the best plan.

    Data that were passed as a path appear as that path, others as the variables `train` and
    `validation_data`.

    Args:
        search: The search.
        stages: The file with the stages.
        run_dir: The directory of the run to train.
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
    """Return the call that constructs the best trial's recipe."""
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
    """Return the import of a class, from its top-level package if that exports it."""
    module, name = recipe_class.__module__, recipe_class.__qualname__.partition(".")[0]
    if module == "__main__" or "<locals>" in recipe_class.__qualname__:
        return []  # only the caller of `tune` can refer to it
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
        return "early_stopping"  # a class of the caller's own
    given = {name: getattr(value, name) for name in _RULE}
    given["min_delta"] = abs(value.min_delta)  # Keras negates it where less is better
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
