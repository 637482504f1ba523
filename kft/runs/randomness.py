"""The global random state of a process, besides the model's seed generators."""

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
    """Seed all random generators, and restore those of Python and NumPy at the end.

    Otherwise the user's own random numbers would repeat after each built model. The backend's generator
    continues from the seed: unseeded layers of PyTorch draw from it while they train.
    """
    python, numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def random_state() -> dict[str, Any]:
    """Return the global state of `random`, `numpy.random` and, if imported, PyTorch.

    Layers of PyTorch without a seed draw their dropout from it, and samplers shuffle with it.
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
    """Restore the state that `random_state` returned."""
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
