"""What recipe and data contribute to the identity of a run."""

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
    """Return what recipe and data contribute to the identity of a run.

    Args:
        recipe: The recipe, before it is trained; one that is fitted already counts with its weights.
        train: The training data; their content counts, not where they lie.
        validation: The validation data; None for none.
    """
    return {
        "recipe": class_path(recipe),
        "arguments": recipe.arguments(),
        "train": _identity(train),
        "validation": None if validation is None else _identity(validation),
        "trained before": weights_digest(recipe.model) if recipe.is_fitted else None,
    }


def weights_digest(model: keras.Model) -> str:
    """SHA-256 of all weights, which tells a run that goes on from them from one that does not."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
    return digest.hexdigest()


def _identity(data):
    if isinstance(data, Examples):
        return {"examples": len(data), "sha256": data.fingerprint()}
    # What a stream will yield cannot be known, so two streams count as equal.
    return {"stream": data.source, "batches": data.batches}
