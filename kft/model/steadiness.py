"""Whether a frozen layer computes the same in every step, so that its outputs can be kept."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterator
from typing import Any

import keras

from kft.model import graph

# Layers of these are known: what their random numbers and statistics hang on is looked at.
_KNOWN = ("keras", "keras_hub", "kft")
_RANDOM = "draws random numbers there"


def changes(operation: keras.Operation) -> str:
    """Say why a frozen operation may not compute the same in each step of a training.

    A layer of somebody's own is judged by its code: what takes `training` may behave in another way
    while it trains, as no graph shows.

    Args:
        operation: An operation whose weights are frozen.

    Returns:
        What it does, to be read after its name; empty if its outputs can be kept.
    """
    if not isinstance(operation, keras.Layer):
        return ""
    weights = {id(weight) for weight in operation.weights}
    if any(id(variable) not in weights for variable in operation.variables):
        return _RANDOM  # state besides weights, which is what a seed generator is
    reasons = (_reason(layer) for layer in (operation, *graph.sublayers(operation)))
    return next(filter(None, reasons), "")


def code_of(layer: keras.Operation) -> str:
    """Return a hash of the code of layers that are somebody's own, empty for all others.

    Their settings alone would not tell two versions of them apart.
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
    """Whether somebody's own code is told that the model trains."""
    code = [*_code_in(_function_of(layer)), *(c for c in _own_code(layer) if c.co_name == "call")]
    return any("training" in one.co_varnames[: _arguments(one)] for one in code)


def _own_code(layer: keras.Layer) -> Iterator[types.CodeType]:
    """The code of a layer that is neither Keras' nor KerasHub's, with functions in functions."""
    for kind in type(layer).__mro__:
        if not _is_known(kind.__module__) and issubclass(kind, keras.Layer):
            for name in sorted(vars(kind)):
                yield from _code_in(vars(kind)[name])
    yield from _code_in(_function_of(layer))


def _function_of(layer: keras.Layer) -> Any:
    """What a Lambda calls; the code of a lambda is in its settings, that of a named function is not."""
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
