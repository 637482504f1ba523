"""The PyTorch backend."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kft.backends.base import Backend
from kft.backends.batches import joined_inputs

if TYPE_CHECKING:
    import keras
    import numpy as np


class Torch(Backend):
    """PyTorch, which runs eagerly and needs one process per device."""

    package = "kft[torch]"
    has_fused_adam = True
    strategy_module = "kft.distribution.replicas"
    is_one_device_per_process = True
    other_way_to_join = "start it with torchrun, or with `kft fit --processes N`"

    def __init__(self) -> None:
        super().__init__("torch")

    def accelerator(self) -> tuple[str, int]:
        """Return the current GPU, or the CPU."""
        import torch

        if torch.cuda.is_available():
            return "gpu", torch.cuda.get_device_capability()[0]
        return "cpu", 0

    def peak_memory(self) -> int | None:
        """Return the peak bytes of the current GPU."""
        import torch

        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None

    def cpu_threads(self) -> int | None:
        """Return the number of PyTorch's threads."""
        import torch

        return None if torch.cuda.is_available() else torch.get_num_threads()

    def sees_several_devices(self) -> bool:
        """Return whether torchrun or `kft fit --processes` has started several processes."""
        return int(os.environ.get("WORLD_SIZE", "1")) > 1

    def skipping_step(
        self, model: keras.Model, results: Callable[[], Mapping[str, Any]]
    ) -> Callable[..., Any]:
        """Return a function of a batch, which `fit` has already read."""
        logs = dict(results())
        return lambda batch: logs

    def input_gradient(
        self, model: keras.Model
    ) -> Callable[[np.ndarray, list[Any], np.ndarray], np.ndarray]:
        """Return a gradient function that records each call eagerly."""
        import torch
        from keras import ops

        def gradient(first: np.ndarray, rest: list[Any], weights: np.ndarray) -> np.ndarray:
            variable = ops.convert_to_tensor(first).detach().requires_grad_()
            others = [ops.convert_to_tensor(one) for one in rest]
            outputs = model(joined_inputs(variable, others), training=False)
            value = (outputs.float() * ops.convert_to_tensor(weights)).sum()
            (found,) = torch.autograd.grad(value, variable)
            return found.detach().cpu().numpy()

        return gradient
