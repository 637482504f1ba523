"""The random numbers that a process draws from, besides the model's seed generators."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np


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
