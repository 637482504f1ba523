"""TensorFlow's protocol buffers without TensorFlow: 0.05 s instead of 5, and no Keras.

`import tensorflow` imports Keras and registers Python's own ops, which a process must not do to see
a version as a server does. The generated messages in the wheel need neither.
"""

import importlib.util
import sys
import types
from pathlib import Path

from kft.errors import InputError


def tensorflow_folder() -> Path:
    """Return the folder of the installed TensorFlow, without importing it.

    Raises:
        InputError: If TensorFlow is not installed.
    """
    if "tensorflow" not in sys.modules:
        return _folder("tensorflow")
    # Once imported, TensorFlow looks for its submodules in Keras' folders first.
    folders = [Path(folder) for folder in sys.modules["tensorflow"].__path__]
    return next((folder for folder in folders if folder.name == "tensorflow"), folders[0])


def tensorflow_text_folder() -> Path | None:
    """Return the folder of the installed TensorFlow Text, None if it is not installed."""
    try:
        return _folder("tensorflow_text")
    except InputError:
        return None


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{package} is not installed; exporting needs it: pip install {package}")
    return Path(spec.submodule_search_locations[0])


def without_tensorflow() -> None:
    """Let this process import TensorFlow's messages, but never TensorFlow itself.

    Only for a separate process: any later import of `tensorflow` gets an empty package. Does nothing
    if TensorFlow is already imported.
    """
    if "tensorflow" not in sys.modules:
        package = types.ModuleType("tensorflow")
        package.__path__ = [str(tensorflow_folder())]
        sys.modules["tensorflow"] = package
