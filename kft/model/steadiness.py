"""Checks whether a frozen layer produces the same output in every step, so that it can be cached."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterator
from typing import Any

import keras

from kft.model import graph

# Layers of these packages are trusted; the code of all others is inspected.
_KNOWN = ("keras", "keras_hub", "kft")
_RANDOM = "draws random numbers there"


def changes(operation: keras.Operation) -> str:
    """Return why a frozen operation may produce different outputs from step to step.

    The code of custom layers is inspected: one that takes `training` may behave differently while
    the model trains, which no graph shows.

    Args:
        operation: An operation whose weights are frozen.

    Returns:
        The reason, to follow the operation's name; empty if its outputs can be cached.
    """
    if not isinstance(operation, keras.Layer):
        return ""
    weights = {id(weight) for weight in operation.weights}
    if any(id(variable) not in weights for variable in operation.variables):
        return _RANDOM  # state besides weights belongs to a seed generator
    reasons = (_reason(layer) for layer in (operation, *graph.sublayers(operation)))
    return next(filter(None, reasons), "")


def code_of(layer: keras.Operation) -> str:
    """Return a hash of the code of custom layers, empty for all others.

    Their settings alone would not distinguish two versions of a layer.
    """
    found = hashlib.sha256()
    if not isinstance(layer, keras.Layer):
        return ""
    own = [code for one in (layer, *graph.sublayers(layer)) for code in _own_code(one)]
    for code in own:
        constants = [one for one in code.co_consts if not isinstance(one, types.CodeType)]
        found.update(repr((code.co_name, code.co_code, code.co_names, constants)).encode())
    return found.hexdigest() if own else ""


def _reason(layer: keras.Layer) -> str:
    if isinstance(layer, keras.layers.SpectralNormalization):
        return "normalises its weights while it trains, though frozen"
    names = {name for code in _own_code(layer) for name in code.co_names}
    if "random" in names:
        return _RANDOM
    adds = names | {name for code in _code_in(type(layer).call) for name in code.co_names}
    if getattr(layer, "activity_regularizer", None) is not None or "add_loss" in adds:
        return "adds to the loss there"
    if "assign" in names or "assign_add" in names or _takes_training(layer):
        return "may compute something else there while it trains"
    return ""


def _takes_training(layer: keras.Layer) -> bool:
    """Return whether the code of a custom layer takes `training`."""
    code = [*_code_in(_function_of(layer)), *(c for c in _own_code(layer) if c.co_name == "call")]
    return any("training" in one.co_varnames[: _arguments(one)] for one in code)


def _own_code(layer: keras.Layer) -> Iterator[types.CodeType]:
    """Yield the code of a custom layer, including nested functions."""
    for kind in type(layer).__mro__:
        if not _is_known(kind.__module__) and issubclass(kind, keras.Layer):
            for name in sorted(vars(kind)):
                yield from _code_in(vars(kind)[name])
    yield from _code_in(_function_of(layer))


def _function_of(layer: keras.Layer) -> Any:
    """Return a Lambda's custom function, whose code is not in the settings if it has a name."""
    function = layer.function if isinstance(layer, keras.layers.Lambda) else None
    return None if _is_known(getattr(function, "__module__", None) or "keras") else function


def _code_in(function: Any) -> Iterator[types.CodeType]:
    waiting = [getattr(function, "__code__", None)]
    while waiting:
        code = waiting.pop()
        if isinstance(code, types.CodeType):
            yield code
            waiting += code.co_consts


def _arguments(code: types.CodeType) -> int:
    return code.co_argcount + code.co_kwonlyargcount


def _is_known(module: str) -> bool:
    return module.partition(".")[0] in _KNOWN
