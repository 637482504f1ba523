"""Smaller weights: stored in half the space, or quantised."""

import warnings
from typing import Any

import keras
import tensorflow as tf

from kft.errors import InputError
from kft.export.signatures import Call


def round_weights(model: keras.Model) -> None:
    """Round a model's kernels and embeddings to float16 values.

    Vectors (biases, norms, moving statistics) are unchanged: they take little space, and a variance
    may be outside float16's range.

    Args:
        model: The model, changed in place.

    Raises:
        InputError: If a weight is outside float16's range.
    """
    for variable in filter(_is_halved, model.variables):
        rounded = tf.cast(tf.cast(variable.value, tf.float16), tf.float32)
        if not bool(tf.reduce_all(tf.math.is_finite(rounded))):
            raise InputError(
                f"weights='float16', but {variable.path} leaves its range; pass 'float32'."
            )
        variable.assign(rounded)


def quantize(model: keras.Model) -> None:
    """Quantise a model's dense, einsum and embedding layers to int8, with Keras' own method.

    Args:
        model: The model, changed in place. Layers that Keras cannot quantise stay float32.
    """
    with warnings.catch_warnings():  # one for each layer that is not quantised
        warnings.filterwarnings("ignore", message=".*does not have a `quantize` method")
        model.quantize("int8")


def stored_in_float16(model: keras.Model, archive: keras.export.ExportArchive) -> Call:
    """Store a model's rounded weights in float16 and cast them in the graph.

    Args:
        model: The model; its weights are rounded.
        archive: The archive that stores the variables.

    Returns:
        A function that applies the model, or another one with its layers, with the stored variables.
    """
    round_weights(model)
    stored = {
        id(variable): tf.Variable(
            tf.cast(variable.value, tf.float16) if _is_halved(variable) else variable.value,
            trainable=False,
        )
        for variable in model.variables
    }
    archive.add_variable_collection("stored", list(stored.values()))

    def read(variable: keras.Variable) -> tf.Tensor:
        return tf.cast(stored[id(variable)], variable.dtype)

    def call(part: keras.Model, inputs: Any) -> Any:
        outputs, _ = part.stateless_call(
            [read(v) for v in part.trainable_variables],
            [read(v) for v in part.non_trainable_variables],
            inputs,
            training=False,
        )
        return outputs

    return call


def _is_halved(variable: keras.Variable) -> bool:
    return variable.dtype == "float32" and len(variable.shape) >= 2
