"""A request to the REST API that fits a model's inputs."""

from __future__ import annotations

import json
from typing import Any

from kft.export.deployment.model import SavedModel

# A PNG of one grey pixel.
_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
)


def request(model: SavedModel) -> str:
    """Return the body of a request with one row, as JSON.

    Args:
        model: The model.
    """
    return json.dumps({"instances": [_row(model)]}, indent=1) + "\n"


def _row(model: SavedModel) -> Any:
    """Return one row: its single input by itself, several by their names."""
    if len(model.inputs) == 1:
        return _value(model, "a gentle, funny film")
    return {name: _value(model, f"an example of the {name}") for name in model.inputs}


def _value(model: SavedModel, text: str) -> Any:
    if model.version.modality == "text":
        return text
    image = {"b64": _IMAGE}
    return [image] * model.shape[0] if model.shape else image
