"""The identity of a Keras layer across processes: its class and its settings."""

import json
from typing import Any

from kft.data.content import content_digest
from kft.errors import InputError


def layer_settings(layer: Any) -> list[Any]:
    """Return a layer's class and settings as JSON values, without the names of layers.

    Raises:
        InputError: The settings cannot be identified by their content.
    """
    kind = type(layer)
    try:
        # Serialised here, where an error can still name the layer.
        config = json.dumps(_without_names(layer.get_config()), default=_identified)
    except (NotImplementedError, InputError, TypeError) as error:
        raise InputError(
            f"layer {layer.name!r} of augment has settings that do not identify it "
            f"({str(error).strip().splitlines()[0]}), so that a run could not be recognised: define "
            "its get_config() with numbers, strings, lists, arrays and functions of a module, or pass "
            "a function (x, y, seed) -> (x, y)"
        ) from error
    return [f"{kind.__module__}.{kind.__qualname__}", json.loads(config)]


def _identified(value: Any) -> str:
    if hasattr(value, "__qualname__"):  # a function or a class
        return f"{value.__module__}.{value.__qualname__}"
    return content_digest(value).hex()


def _without_names(config: Any, is_layer: bool = True) -> Any:
    """Return a config without layer names, which number the layers that a process has made."""
    if isinstance(config, list | tuple):
        return [_without_names(one, is_layer=False) for one in config]
    if not isinstance(config, dict):
        return config
    # The name of a dtype policy is its value.
    holds_layer = "class_name" in config and "Policy" not in str(config["class_name"])
    return {
        key: _without_names(value, is_layer=holds_layer and key == "config")
        for key, value in config.items()
        if not (is_layer and key == "name")
    }
