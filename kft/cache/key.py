"""The key of cached features: a hash of everything that affects them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import re

from kft.backends import backend
from kft.cache.cut import Cut
from kft.cache.files import FORMAT
from kft.data.examples import Examples

KEY = re.compile("[0-9a-f]{32}")
_PACKAGES = ("kft", "keras", "keras-hub", "tensorflow", "jax", "torch")


def features_key(cut: Cut, examples: Examples, identity: str, dtype: str) -> str:
    """Return the key of the features of all examples at a cut, which matches `KEY`.

    Args:
        cut: the cut.
        examples: the examples.
        identity: everything besides the examples that affects the model's inputs: the preprocessing.
        dtype: the type in which the features are stored.
    """
    parts = [str(FORMAT), cut.digest, examples.fingerprint(), identity, dtype, _versions()]
    parts.append(backend().name)
    parts.append(str([tuple(tensor.shape) for tensor in cut.prefix.outputs]))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _versions() -> str:
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return json.dumps(found)
