"""The JAX backend."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kft.backends.base import Backend
from kft.backends.batches import joined_inputs, read_and_drop
from kft.backends.cores import cores, named_threads

if TYPE_CHECKING:
    import keras
    import numpy as np


class Jax(Backend):
    """JAX, which compiles every step and distributes arrays over devices itself."""

    package = "kft[jax]"
    compiles_every_step = True
    gains_by_folding = False  # only 3 % when measured, since XLA folds it too
    strategy_module = "kft.distribution.on_jax"
    has_model_parallel = True
    joins_by_initialize = True

    def __init__(self) -> None:
        super().__init__("jax")

    def accelerator(self) -> tuple[str, int]:
        """Return the platform of the first device, and its generation."""
        import jax

        device = jax.devices()[0]
        capability = str(getattr(device, "compute_capability", "0"))
        return device.platform, int(capability.partition(".")[0])

    def peak_memory(self) -> int | None:
        """Return the peak bytes of the first device."""
        import jax

        device = jax.local_devices()[0]
        counted: Any = None if device.platform == "cpu" else device.memory_stats()
        return int(counted["peak_bytes_in_use"]) if counted else None

    def cpu_threads(self) -> int | None:
        """Return the number of threads of XLA."""
        import jax

        if jax.default_backend() != "cpu":
            return None
        if "--xla_cpu_multi_thread_eigen=false" in os.environ.get("XLA_FLAGS", "").lower():
            return 1
        return named_threads("NPROC") or cores()

    def sees_several_devices(self) -> bool:
        """Return whether there are several processes or accelerators."""
        import jax

        return jax.process_count() > 1 or (
            jax.default_backend() != "cpu" and len(jax.devices()) > 1
        )

    def device_count(self) -> int:
        """Return the number of devices in Keras' distribution, over all processes."""
        import keras

        present = keras.distribution.distribution()
        return 1 if present is None else int(present.device_mesh.devices.size)

    def is_spread(self, variable: keras.Variable) -> bool:
        """Return whether the variable's array is on several devices."""
        value: Any = variable.value
        return len(value.sharding.device_set) > 1

    def copies(self, variable: keras.Variable, model: keras.Model) -> list[np.ndarray]:
        """Return the copies of those shards that this process holds."""
        import numpy as np

        shards = getattr(variable.value, "addressable_shards", [])
        # Shards with different indices are different parts of the variable, not copies.
        groups: dict[str, list[Any]] = {}
        for shard in shards:
            groups.setdefault(str(shard.index), []).append(shard.data)
        columns = zip(*groups.values(), strict=False)
        return [np.concatenate([np.ravel(part) for part in column]) for column in columns]

    def skipping_step(
        self, model: keras.Model, results: Callable[[], Mapping[str, Any]]
    ) -> Callable[..., Any]:
        """Return a function of the model's state and an iterator."""
        logs = dict(results())

        def skip(state: Any, iterator: Any) -> tuple[dict[str, Any], Any]:
            read_and_drop(iterator, model.steps_per_execution)
            return logs, state

        return skip

    def input_gradient(
        self, model: keras.Model
    ) -> Callable[[np.ndarray, list[Any], np.ndarray], np.ndarray]:
        """Return a compiled gradient function, which reads the current weights in each call."""
        import jax
        import numpy as np

        def value(first: Any, rest: Any, weights: Any, trained: Any, others: Any) -> Any:
            inputs = joined_inputs(first, rest)
            outputs, _ = model.stateless_call(trained, others, inputs, training=False)
            return (outputs.astype("float32") * weights).sum()

        compiled = jax.jit(jax.grad(value))

        def gradient(first: np.ndarray, rest: list[Any], weights: np.ndarray) -> np.ndarray:
            trained = [variable.value for variable in model.trainable_variables]
            others = [variable.value for variable in model.non_trainable_variables]
            return np.asarray(compiled(first, rest, weights, trained, others))

        return gradient
