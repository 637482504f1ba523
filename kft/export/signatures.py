"""The functions behind an export's signatures, in TensorFlow's graph ops.

Only imported where Keras runs on the TensorFlow backend.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kft.export.promises import LABEL_SEPARATOR
from kft.export.servable import Servable

Call = Callable[[keras.Model, Any], Any]  # how a model is applied to inputs
Functions = dict[str, tuple[Callable[[tf.Tensor], dict[str, tf.Tensor]], tf.TensorSpec]]


def call_plainly(model: keras.Model, inputs: Any) -> Any:
    """Apply a model with its own variables, in inference mode."""
    return model(inputs, training=False)


def functions(servable: Servable, call: Call = call_plainly) -> Functions:
    """Return for each signature its function and the specification of its input.

    Args:
        servable: The model and the way to its inputs.
        call: How to apply a model; another way where the variables are stored otherwise.
    """
    model, decode = servable.model, servable.decode
    embedder = keras.Model(model.inputs, servable.embedding)
    if isinstance(model.input, dict):
        embedder = keras.Model(model.input, servable.embedding)

    @tf.function(autograph=False)  # traced and stored once, whichever signature asks
    def scores(inputs: Any) -> tf.Tensor:
        return tf.cast(call(model, inputs), tf.float32)

    def parse(serialized: tf.Tensor) -> Any:
        name = servable.feature_name
        feature = tf.io.FixedLenFeature([], tf.string)
        return decode(tf.io.parse_example(serialized, {name: feature})[name])

    def predict(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(servable, scores(decode(inputs)))

    def embed(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": tf.cast(call(embedder, decode(inputs)), tf.float32)}

    def tensors(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(servable, scores(inputs))

    def classify(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        answered = answer(servable, scores(parse(inputs)))
        return {"classes": answered["classes"], "scores": answered["scores"]}

    def regress(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": scores(parse(inputs))[:, 0]}

    raw = tf.TensorSpec([None], tf.string, name="inputs")
    made: Functions = {"serving_default": (predict, raw), "embed": (embed, raw)}
    if servable.modality == "image":
        shape = [None, *model.inputs[0].shape[1:]]
        made["tensors"] = (tensors, tf.TensorSpec(shape, tf.float32, name="inputs"))
    if servable.task != "regression":
        made["classify"] = (classify, raw)
    elif servable.targets == 1:
        made["regress"] = (regress, raw)
    return made


def answer(servable: Servable, scores: tf.Tensor) -> dict[str, tf.Tensor]:
    """Return the outputs of `serving_default` that belong to scores [n, k]."""
    if servable.classes is None:
        return {"value": scores[:, 0] if servable.targets == 1 else scores}
    order = tf.argsort(scores, axis=1, direction="DESCENDING", stable=True)
    classes = tf.gather(tf.constant(servable.classes), order)
    ordered = tf.gather(scores, order, batch_dims=1)
    if servable.task == "single_label":
        label = classes[:, 0]
    else:
        chosen = tf.ragged.boolean_mask(classes, ordered >= servable.threshold)
        label = tf.strings.reduce_join(chosen, axis=1, separator=LABEL_SEPARATOR)
    return {"classes": classes, "scores": ordered, "label": label}
