"""`Backend`: the attributes and methods in which backends differ, with cautious defaults."""

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
        name: Its name in Keras.

    Attributes:
        package: The argument of `pip install`.
        compiles_every_step: Whether steps are always compiled, separately for each shape of a batch.
        can_compile_on_request: Whether compiling steps, which Keras does not do by default, saves time.
        needs_declared_shapes: Whether `fit` must know which axes vary from batch to batch.
        gains_by_folding: Whether folding BatchNorm into the convolution before it saves time.
        has_fused_adam: Whether it has a fused kernel for Adam.
        computes_in_tensorflow: Whether TensorFlow, which reads data and writes SavedModels, is the backend.
        strategy_module: The module whose `entered` distributes a fit over devices; None if there is none.
        is_one_device_per_process: Whether each device needs its own process.
        has_model_parallel: Whether large weights can be sharded over devices.
        takes_tpu_address: Whether a TPU must be given by its address.
        joins_by_initialize: Whether `kft.distribution.initialize` joins processes.
        other_way_to_join: The alternative if it does not.
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
        """Return the peak bytes held on the first accelerator so far; None without one."""
        return None

    def cpu_threads(self) -> int | None:
        """Return the number of threads per operation on the CPU, which affects the order of sums.

        Returns:
            The number; None if the backend computes on an accelerator.
        """
        return None

    # Several devices.

    def sees_several_devices(self) -> bool:
        """Return whether this process should train data parallel by default."""
        return False

    def device_count(self) -> int:
        """Return the number of devices over which a model built now would be distributed."""
        return 1

    def replica_count(self) -> int:
        """Return the number of replicas on which a step made now would run."""
        return 1

    def summed_over_replicas(self, gradients: list[Any]) -> tuple[list[Any], int]:
        """Return the gradients of the whole batch, and the number of replicas that share it."""
        return gradients, 1

    def is_spread(self, variable: keras.Variable) -> bool:
        """Return whether a variable is on several devices."""
        return False

    def copies(self, variable: keras.Variable, model: keras.Model) -> list[np.ndarray]:
        """Return the values of a variable on each device of this process, which should be equal.

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
        """Return a training function for `model.fit` that reads batches without training on them.

        Args:
            model: The model, before its first step of the epoch.
            results: Returns the logs of each skipped step; called once the metrics are built.
        """
        raise InputError(f"kft cannot resume within an epoch on the backend {self.name}.")

    def input_gradient(
        self, model: keras.Model
    ) -> Callable[[np.ndarray, list[Any], np.ndarray], np.ndarray]:
        """Return a function for the gradient of a model's outputs with respect to its first input.

        It takes the first input, the others, and weights of the outputs, and differentiates the
        weighted sum. Dropout is off and BatchNorm uses its moving statistics.

        Args:
            model: A model with an input, or a list of them, and one output.
        """
        raise InputError(f"kft knows no gradients on the backend {self.name}.")
