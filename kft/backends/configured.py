"""The backend that Keras is configured to use, known before Keras is imported."""

from __future__ import annotations

import json
import os
from pathlib import Path

OF_KERAS = ("tensorflow", "jax", "torch", "numpy", "openvino")
USUAL = "tensorflow"


def configured_backend() -> str:
    """Return the name that KERAS_BACKEND, Keras' configuration file, or Keras itself sets."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"] or USUAL
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        return str(json.loads((Path(home) / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL
