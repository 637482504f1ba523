"""The part of a run's identity that recipe and data determine."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np

from kft.data.examples import Examples
from kft.data.streams import Stream
from kft.family.description import class_path
from kft.family.hooks import Family


def identity_of(
    recipe: Family, train: Examples | Stream, validation: Examples | Stream | None
) -> dict[str, Any]:
    """Return the part of a run's identity that recipe and data determine.

    Args:
        recipe: The recipe before training; if it is already fitted its weights are included.
        train: The training data; their content matters, not their location.
        validation: The validation data, or None.
    """
    return {
        "recipe": class_path(recipe),
        "arguments": recipe.arguments(),
        "train": _identity(train),
        "validation": None if validation is None else _identity(validation),
        "trained before": weights_digest(recipe.model) if recipe.is_fitted else None,
    }


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 of all weights, by which fits that start from other weights are distinguished."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()


def _identity(data):
    if isinstance(data, Examples):
        return {"examples": len(data), "sha256": data.fingerprint()}
    # The content of a stream cannot be known in advance, so two streams count as equal.
    return {"stream": data.source, "batches": data.batches}
