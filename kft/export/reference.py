"""What a model itself answers to the examples: what its export is compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kft.errors import InputError
from kft.export import rounding
from kft.export.launch import ExportError
from kft.export.promises import LARGEST_SCORE_TOLERANCE
from kft.export.servable import Servable


@dataclass(frozen=True)
class Reference:
    """The answers to the examples of a servable.

    Attributes:
        decode: `servable.decode` as a graph, traced once for all that ask it.
        inputs: The examples as the model's inputs.
        scores: What `servable.predict` gave, float32 [n, k].
        features: What enters the head, float32 [n, d].
        bounds: How far rounding may lead from the scores, and from the features.
    """

    decode: Callable[[tf.Tensor], tuple[Any, tf.Tensor]]
    inputs: Any
    scores: np.ndarray
    features: np.ndarray
    bounds: tuple[float, float]


def ask(servable: Servable) -> Reference:
    """Ask a model its examples.

    Raises:
        InputError: If an example is a bad row.
        ExportError: If the answers are no finite numbers, or if rounding alone moves scores so far
            that a comparison would prove nothing.
    """
    raw = list(servable.examples)
    spec = tf.TensorSpec([None], tf.string, name="inputs")
    decode = tf.function(servable.decode, autograph=False).get_concrete_function(spec)
    inputs, status = decode(tf.constant(raw, tf.string))
    for index, reason in enumerate(status.numpy()):
        if reason:
            raise InputError(f"example {index} cannot be used: {reason.decode()}. Pass another.")
    model = servable.model
    # Eagerly: tracing takes a deep model longer than a few examples.
    whole = keras.Model(model.input, [model.output, servable.embedding])
    (_, features), bounds = rounding.measure(whole, inputs)
    if not np.isfinite(bounds).all():
        raise ExportError("the model's answers to the examples are not all finite numbers.")
    if servable.classes is not None and bounds[0] > LARGEST_SCORE_TOLERANCE:
        raise ExportError(
            f"rounding alone moves the model's scores by {bounds[0]:.2g}, so that no export can be "
            "held to them: export other weights, such as weights='float32'."
        )
    scores = np.asarray(servable.predict(raw), np.float32)
    return Reference(decode, inputs, scores, features, (bounds[0], bounds[1]))
