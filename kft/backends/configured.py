"""The backend that Keras is configured to use, known before Keras is imported."""

from __future__ import annotations

import json
import os
from pathlib import Path

OF_KERAS = ("tensorflow", "jax", "torch", "numpy", "openvino")
USUAL = "tensorflow"


def configured_backend() -> str:
    """Return the name that KERAS_BACKEND, Keras' configuration file, or Keras itself sets."""
    return find_backend()[0]


def find_backend() -> tuple[str, str]:
    """Return the name of the backend, and what sets it: a variable, a file, or Keras' default."""
    if "KERAS_BACKEND" in os.environ:
        name = os.environ["KERAS_BACKEND"]
        return (name, "KERAS_BACKEND") if name else (USUAL, "default")
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["backend"]), os.fspath(file)
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL, "default"
