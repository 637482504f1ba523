"""`Backend`: the facts and functions that the backends differ in, with cautious defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kft.errors import InputError

if TYPE_CHECKING:
    import keras
    import numpy as np


class Backend:
    """A backend of Keras.

    Args:
        name: What Keras calls it.

    Attributes:
        package: What to give `pip install` to have it.
        compiles_every_step: Whether a step is always compiled, anew for each shape of its batch.
        can_compile_on_request: Whether a step that Keras leaves as it is can be compiled to gain time.
        needs_declared_shapes: Whether `fit` must be told which axes vary from batch to batch.
        gains_by_folding: Whether a BatchNorm folded into the convolution before it saves time.
        has_fused_adam: Whether it has a kernel that takes Adam's steps in one pass.
        computes_in_tensorflow: Whether TensorFlow, which reads data and writes SavedModels, computes too.
        strategy_module: The module whose `entered` spreads a fit over devices; None if it cannot.
        is_one_device_per_process: Whether each device takes a process of its own.
        has_model_parallel: Whether large weights can be cut in parts, one on each device.
        takes_tpu_address: Whether a TPU has to be named to be used.
        joins_by_initialize: Whether `kft.distribution.initialize` joins processes.
        other_way_to_join: What to do instead, if it does not.
        trains_on_several_hosts: Whether Keras' `fit` works on several hosts.
    """

    package = ""
    compiles_every_step = False
    can_compile_on_request = False
    needs_declared_shapes = False
    gains_by_folding = True
    has_fused_adam = False
    computes_in_tensorflow = False
    strategy_module: str | None = None
    is_one_device_per_process = False
    has_model_parallel = False
    takes_tpu_address = False
    joins_by_initialize = False
    other_way_to_join = "use KERAS_BACKEND=jax or torch"
    trains_on_several_hosts = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Backend({self.name!r})"

    # The machine.

    def accelerator(self) -> tuple[str, int]:
        """Return the kind of device: `"cpu"`, `"gpu"` or `"tpu"`, and an NVIDIA GPU's generation.

        The generation is the major number of the compute capability, 0 for other devices.
        """
        return "cpu", 0

    def peak_memory(self) -> int | None:
        """Return the most bytes held on the first accelerator so far; None without one."""
        return None

    def cpu_threads(self) -> int | None:
        """Return how many threads share an operation on the CPU: the order of its sums depends on them.

        Returns:
            The number; None where the backend computes on an accelerator.
        """
        return None

    # Several devices.

    def sees_several_devices(self) -> bool:
        """Return whether data parallel training is what this process was started for."""
        return False

    def device_count(self) -> int:
        """Return how many devices a model that is built here would be spread over."""
        return 1

    def replica_count(self) -> int:
        """Return how many replicas of a model a step that is made here runs on."""
        return 1

    def summed_over_replicas(self, gradients: list[Any]) -> tuple[list[Any], int]:
        """Return the gradients of the whole batch, and how many replicas it is spread over."""
        return gradients, 1

    def is_spread(self, variable: keras.Variable) -> bool:
        """Return whether a variable is on all devices of a scope that has several."""
        return False

    def copies(self, variable: keras.Variable, model: keras.Model) -> list[np.ndarray]:
        """Return the values that the devices of this process hold, where they should be equal.

        Args:
            variable: A variable.
            model: The model that it belongs to.
        """
        from keras import ops

        return [ops.convert_to_numpy(variable)]

    # Steps.

    def skipping_step(
        self, model: keras.Model, results: Callable[[], Mapping[str, Any]]
    ) -> Callable[..., Any]:
        """Return a training function for `model.fit` that reads its batches and takes no step.

        Args:
            model: The model that is about to take its first step of the epoch.
            results: Returns what each step reports; called once the metrics are built.
        """
        raise InputError(f"kft cannot resume within an epoch on the backend {self.name}.")

    def input_gradient(
        self, model: keras.Model
    ) -> Callable[[np.ndarray, list[Any], np.ndarray], np.ndarray]:
        """Return a function for the gradient of a model's outputs with respect to its first input.

        It takes the first input, the others, and weights of the outputs, whose sum it
        differentiates. Dropout is off and BatchNorm uses its statistics.

        Args:
            model: A model with an input, or a list of them, and one output.
        """
        raise InputError(f"kft knows no gradients on the backend {self.name}.")
