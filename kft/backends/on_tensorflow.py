"""The TensorFlow backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kft.backends.base import Backend
from kft.backends.batches import joined_inputs, read_and_drop
from kft.backends.cores import cores, named_threads

if TYPE_CHECKING:
    import keras
    import numpy as np


class TensorFlow(Backend):
    """TensorFlow, which traces its steps and replicates models by `tf.distribute`."""

    package = "tensorflow"
    can_compile_on_request = True
    needs_declared_shapes = True
    computes_in_tensorflow = True
    strategy_module = "kft.distribution.on_tensorflow"
    takes_tpu_address = True
    other_way_to_join = (
        "Keras 3's fit does not work with TensorFlow's strategies for several hosts "
        "(https://github.com/keras-team/keras/issues/20585); use KERAS_BACKEND=jax or torch"
    )
    trains_on_several_hosts = False

    def __init__(self) -> None:
        super().__init__("tensorflow")

    def accelerator(self) -> tuple[str, int]:
        """Return the first device that TensorFlow finds: a TPU, a GPU or the CPU."""
        import tensorflow as tf

        if tf.config.list_logical_devices("TPU"):
            return "tpu", 0
        found = tf.config.list_physical_devices("GPU")
        if not found:
            return "cpu", 0
        details = tf.config.experimental.get_device_details(found[0])
        return "gpu", int(details.get("compute_capability", (0, 0))[0])

    def peak_memory(self) -> int | None:
        """Return the peak bytes of the first GPU."""
        import tensorflow as tf

        if not tf.config.list_logical_devices("GPU"):
            return None
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])

    def cpu_threads(self) -> int | None:
        """Return the number of intra-op threads."""
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return None
        requested = tf.config.threading.get_intra_op_parallelism_threads()  # 0 by default
        return requested or named_threads("TF_NUM_INTRAOP_THREADS") or cores()

    def sees_several_devices(self) -> bool:
        """Return whether there are several GPUs."""
        import tensorflow as tf

        return len(tf.config.list_logical_devices("GPU")) > 1

    def device_count(self) -> int:
        """Return the number of replicas."""
        return self.replica_count()

    def replica_count(self) -> int:
        """Return the number of replicas of the current strategy."""
        import tensorflow as tf

        return tf.distribute.get_strategy().num_replicas_in_sync

    def summed_over_replicas(self, gradients: list[Any]) -> tuple[list[Any], int]:
        """Sum the gradients before they are clipped.

        Keras (3.15.1) clips each replica's gradients separately and then sums them.
        """
        import tensorflow as tf

        replicas = self.replica_count()
        if replicas == 1:
            return gradients, 1
        replica = tf.distribute.get_replica_context()
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients), replicas

    def is_spread(self, variable: keras.Variable) -> bool:
        """Return whether the variable has a copy on each replica."""
        import tensorflow as tf

        return isinstance(variable.value, tf.distribute.DistributedValues)

    def copies(self, variable: keras.Variable, model: keras.Model) -> list[np.ndarray]:
        """Return the values of the replicas."""
        strategy = model.distribute_strategy
        return [one.numpy() for one in strategy.experimental_local_results(variable.value)]

    def skipping_step(
        self, model: keras.Model, results: Callable[[], Mapping[str, Any]]
    ) -> Callable[..., Any]:
        """Return a function of an iterator, which builds the metrics with the first batch."""
        logs: dict[str, Any] = {}

        def skip(iterator: Any) -> dict[str, Any]:
            batch = read_and_drop(iterator, model.steps_per_execution)
            if not logs:
                if model.distribute_strategy.num_replicas_in_sync == 1:
                    _build_metrics(model, batch)
                logs.update(results())
            return logs

        return skip

    def input_gradient(
        self, model: keras.Model
    ) -> Callable[[np.ndarray, list[Any], np.ndarray], np.ndarray]:
        """Return a gradient function that is traced with few retraces for inputs of any size."""
        import tensorflow as tf

        def traced(first: Any, rest: Any, weights: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(first)
                outputs = model(joined_inputs(first, rest), training=False)
                value = tf.reduce_sum(tf.cast(outputs, "float32") * weights)
            return tape.gradient(value, first)

        compiled = tf.function(traced, autograph=False, reduce_retracing=True)

        def gradient(first: np.ndarray, rest: list[Any], weights: np.ndarray) -> np.ndarray:
            others = [tf.convert_to_tensor(one) for one in rest]
            return compiled(tf.constant(first), others, tf.constant(weights)).numpy()

        return gradient


def _build_metrics(model: keras.Model, batch: Any) -> None:
    import keras

    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    scores = model(x, training=False)
    model.compute_loss(x, y, scores, weights, training=False)
    model.compute_metrics(x, y, scores, weights)
    model.reset_metrics()
