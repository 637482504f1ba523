"""The random numbers that a process draws from, besides the model's seed generators."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a seed, and leave Python's and NumPy's numbers to the caller as they were.

    What a person draws by them after a model was built must not be the same each time. The numbers of
    the backend go on from the seed: unseeded layers of PyTorch draw from there as they train.
    """
    python, numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def random_state() -> dict[str, Any]:
    """Return the global state of `random`, `numpy.random` and, where it is in use, PyTorch.

    PyTorch draws the dropout of layers without a seed from there, and samplers shuffle with it.
    """
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": {"version": version, "numbers": np.asarray(numbers, np.uint64), "gauss": gauss},
        "numpy": {
            "name": name,
            "keys": np.asarray(keys),
            "rest": [int(position), int(has_gauss), float(cached)],
        },
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        state["torch"] = torch.get_rng_state().numpy()
        if torch.cuda.is_available():
            state["cuda"] = [one.numpy() for one in torch.cuda.get_rng_state_all()]
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Restore what `random_state` returned."""
    python, numpy = state["python"], state["numpy"]
    numbers = tuple(int(number) for number in python["numbers"])
    random.setstate((python["version"], numbers, python["gauss"]))
    position, has_gauss, cached = numpy["rest"]
    np.random.set_state((numpy["name"], np.asarray(numpy["keys"]), position, has_gauss, cached))
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in state:
        torch.set_rng_state(torch.from_numpy(np.array(state["torch"])))
        if "cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([torch.from_numpy(np.array(s)) for s in state["cuda"]])
