"""Batches as a `tf.data.Dataset`, which declares varying axes.

If the first two batches of a `PyDataset` have equal shapes, Keras assumes these for all batches.
"""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["as_dataset", "spec_of"]


def spec_of(array: Any) -> Any:
    """Return the `tf.TensorSpec` of batches that differ only in the number of examples."""
    import tensorflow as tf

    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)


def as_dataset(batches: Any, inputs: Any) -> Any:
    """Return batches as a `tf.data.Dataset` of known length.

    Args:
        batches: `kft.data.batches.Batches`; each pass over the dataset reads their current epoch.
        inputs: The `tf.TensorSpec` of the inputs, or a tree of them.
    """
    import tensorflow as tf

    def varying(array: Any) -> Any:
        return tf.TensorSpec([None] * array.ndim, array.dtype)

    _, targets, *weights = batches[0]
    of_targets = varying if batches.examples.task.collates else spec_of
    signature = (
        inputs,
        keras.tree.map_structure(of_targets, targets),
        *(spec_of(one) for one in weights),
    )
    dataset = tf.data.Dataset.from_generator(
        lambda: (batches[index] for index in range(len(batches))), output_signature=signature
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2)
