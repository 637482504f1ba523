"""`assets.extra/kft.json`: the description of a version and its origin."""

import hashlib
import json
import os
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kft.export.promises import FORMAT, METADATA
from kft.export.servable import Servable

_PACKAGES = ("kft", "keras", "keras-hub", "tensorflow", "tensorflow-text", "numpy")


def write(directory: str | os.PathLike, servable: Servable, **more: Any) -> Path:
    """Write the description of a version into it; return the file.

    Args:
        directory: The version directory.
        servable: The exported model. Its `facts` override other entries.
        **more: Further entries, ready for JSON.
    """
    installed = {}
    for name in _PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    described = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": servable.task.name,
        "modality": servable.modality,
        "classes": servable.classes,
        **more,
        "weights_sha256": _hash_weights(servable.model),
        "packages": installed,
        **servable.facts,
    }
    path = Path(directory) / METADATA
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(described, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _hash_weights(model: Any) -> str:
    digest = hashlib.sha256()
    for variable in model.variables:
        digest.update(np.ascontiguousarray(variable).tobytes())
    return digest.hexdigest()
