"""How many replicas of a model TensorFlow trains here, which Keras itself does not say."""

from __future__ import annotations

from typing import Any

import keras


def replica_count() -> int:
    """How many replicas a step that is made here runs on; 1 on other backends."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def summed_over_replicas(gradients: list[Any]) -> tuple[list[Any], int]:
    """The gradients of the whole batch, and how many replicas it is spread over.

    Keras (3.15.1) clips on TensorFlow before it sums, each replica's gradients by themselves.
    """
    replicas = replica_count()
    if replicas == 1:
        return gradients, 1
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients), replicas
